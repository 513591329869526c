"""The machine's program `monitoring`: what it answers to `status`, and the passwords that it makes and keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hangar_monitoring import passwords, prometheus
from hangar_monitoring.described import Refused


def test_status_gets_every_figure_with_what_tells_its_values_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no number JSON cannot carry: an empty pool's share, a pool without end."""
    pools = [("default_pool", "3"), ("endless", "+Inf"), ("strange", "NaN")]

    def told(url: str) -> dict[str, Any]:
        if url.endswith("/alerts"):
            return {"alerts": []}
        labels = {"instance": "127.0.0.1:9100", "job": "machine", "user": "airflow"}
        return {
            "result": [{"metric": {**labels, "pool": name}, "value": [0, value]} for name, value in pools]
        }

    monkeypatch.setattr(prometheus, "_get", told)
    monkeypatch.setattr(prometheus, "_told", lambda _: [])
    figures = prometheus.ask({"prometheus_port": 9090})["figures"]
    assert set(figures) == set(prometheus.FIGURES)
    assert figures["pool_slots"] == [{"labels": {"user": "airflow", "pool": "default_pool"}, "value": 3.0}]


def test_status_has_a_figure_for_each_thing_that_is_watched() -> None:
    """What an alert judges can be seen before it fires: the same figures stand in the answer to `status`."""
    asked = " ".join(prometheus.FIGURES.values())
    names = (
        "cpu_used", "memory_used", "swap_used", "disk_used", "inodes_used", "node_load5", "pressure_cpu",
        "pressure_memory", "pressure_io", "network_receive", "network_transmit", "timex_offset", "units_failed",
        "certificate_expires", "key_expires", "security_updates_pending", "reboot_needed", "failed_logins",
        "container_memory", "scheduler_heartbeat", "parse_time", "queued_tasks", "ti_failures", "pool_slots",
        "airbyte_jobs_failed", "airbyte_oldest_running", "postgres_connections", "postgres_size",
        "postgres_oldest_transaction", "airflow_database_connections", "backup_last_success",
    )  # fmt: skip
    assert [name for name in names if name not in asked] == []


@pytest.mark.parametrize("name", ["", "a/b", "../x", "admin_password", "web.yml", "a" * 65])
def test_a_secret_has_a_name_and_does_not_replace_ours(name: str) -> None:
    with pytest.raises(Refused, match="cannot be set"):
        passwords.set_secret(name, "value")


def test_passwords_are_hashed_with_bcrypt() -> None:
    hashed = passwords._hash("secret")
    assert hashed.startswith("$2b$08$")
    assert passwords._crypt("secret", hashed) == hashed
    assert passwords._crypt("other", hashed) != hashed


def test_a_password_is_made_anew_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "SECRETS", tmp_path)
    monkeypatch.setattr(passwords, "WEB", tmp_path / "web.yml")
    monkeypatch.setattr(passwords, "MODE", 0o644)
    monkeypatch.setattr(passwords, "keep", lambda path, value, _: (path.write_text(value), path.chmod(0o644)))
    passwords.ensure()
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    passwords.renew("admin")
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"admin_password", "web.yml"}
    assert passwords._web_is_right()
    with pytest.raises(Refused, match="'root' has no password here; there are admin, scraper"):
        passwords.renew("root")
