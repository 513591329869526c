"""What an editor's server finds on the machine: settings, limits, the way out, and its bounds beside the services."""

from __future__ import annotations

import json
from typing import Any

from hangar.paths import REPO
from tests.templates.render import render, settings, value

SKELETON = "/etc/skel/.vscode-server/data/Machine/settings.json"
OURS = "/opt/hangar/airflow/bin/python"


def files(**overrides: Any) -> dict[str, Any]:
    found: dict[str, Any] = value(
        "remote_ssh", "__remote_ssh_files", role_path=str(REPO / "roles/remote_ssh"), **overrides
    )
    return found


def machine_settings(**overrides: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(**overrides)[SKELETON]["content"])
    return found


def test_an_editor_watches_no_logs_and_no_targets_and_has_the_platforms_python() -> None:
    found = machine_settings()
    for name in ("**/logs/**", "**/target/**", "**/.venv/**"):
        assert found["files.watcherExclude"][name] is True
    assert found["python.defaultInterpreterPath"] == OURS


def test_a_dag_file_runs_under_the_debugger_in_the_environment_of_the_image() -> None:
    (one,) = machine_settings()["launch"]["configurations"]
    assert (one["type"], one["python"], one["program"]) == ("debugpy", OURS, "/usr/local/bin/try-dag")
    assert one["args"] == ["${file}"]


def test_without_that_environment_nothing_points_to_it() -> None:
    found = machine_settings(remote_ssh_try_dags_enabled=False)
    assert "files.watcherExclude" in found
    assert "/opt/hangar" not in json.dumps(found)


def test_a_new_home_recommends_the_extensions() -> None:
    found = json.loads(files()["/etc/skel/.vscode/extensions.json"]["content"])
    assert {"ms-python.python", "ms-python.debugpy"} <= set(found["recommendations"])


def test_a_session_trusts_whom_the_machine_trusts_and_knows_the_proxy() -> None:
    found = settings(
        render("remote_ssh", "/etc/environment", remote_ssh_environment={"HTTPS_PROXY": "http://proxy:3128"})
    )
    own = "/etc/ssl/certs/ca-certificates.crt"
    assert found == {
        "NODE_EXTRA_CA_CERTS": own, "REQUESTS_CA_BUNDLE": own, "SSL_CERT_FILE": own, "HTTPS_PROXY": "http://proxy:3128",
    }  # fmt: skip


def test_a_person_opens_files_enough_and_leaves_no_memory_on_the_disk() -> None:
    lines = render("remote_ssh", "/etc/security/limits.d/60-hangar-people.conf").splitlines()
    assert "@hangar-people hard nofile 16384" in lines
    assert "@hangar-people - core 0" in lines
    assert not [line for line in lines if line.startswith(("*", "root"))], "nobody else's limits are changed"


def test_one_persons_editor_is_bounded_and_services_and_administrators_go_first() -> None:
    bounded = settings(render("remote_ssh", "/etc/systemd/system/user-.slice.d/60-hangar.conf"))
    assert (bounded["CPUWeight"], bounded["MemoryHigh"], bounded["MemoryMax"]) == ("50", "30%", "40%")
    assert bounded["TasksMax"] == "4096"
    free = settings(render("remote_ssh", "/_unlimited.conf"))
    assert (free["CPUWeight"], free["MemoryMax"]) == ("400", "infinity")
    slices = value(
        "remote_ssh", "__remote_ssh_slices",
        service_users_accounts=[{"name": "airflow", "uid": 2001}],
        __remote_ssh_found={"stdout_lines": ["admin 1000", "environment airflow-1", "pip"]},
    )  # fmt: skip
    assert slices == {
        f"/etc/systemd/system/user-{uid}.slice.d/60-hangar.conf": {"template": "_unlimited.conf.j2"}
        for uid in ("1000", "2001")
    }


def test_whoever_is_no_administrator_any_more_is_bounded_again() -> None:
    stale = "/etc/systemd/system/user-20005.slice.d/60-hangar.conf"
    assert value(
        "remote_ssh", "__remote_ssh_stale_slices",
        service_users_accounts=[], __remote_ssh_found={"stdout_lines": ["admin 1000", stale]},
    ) == [stale]  # fmt: skip
