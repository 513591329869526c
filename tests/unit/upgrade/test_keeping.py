"""What is kept before an upgrade comes back, and nothing else does."""

import json

import pytest

from tests.unit.upgrade.stand import Machine, ask, upgraded


def test_what_was_kept_comes_back_and_nothing_else(machine: Machine) -> None:
    assert ask("keep", broken=[]) == {"ok": None}
    upgraded(machine)
    said = ask("undo")["ok"]
    assert machine.text("srv/airflow/stack/compose.yaml") == "image: hangar/airflow:1\n"
    assert machine.text("etc/systemd/user/airflow.service") == "old\n"
    assert not (machine.root / "srv/airflow/stack/new").exists()
    assert not (machine.root / "usr/local/sbin/airflow-new").exists()
    assert (machine.root / "usr/local/sbin/airflow-release").stat().st_mode & 0o777 == 0o755
    # Who gets in is not undone by this.
    assert machine.text("etc/ssh/sshd_config") == "new\n"
    assert machine.text("usr/local/sbin/people") == "another role's\n"
    assert json.loads(machine.text("etc/hangar/maintenance.json"))["revision"] == "aaaa"
    assert said == [
        "files of Docker's daemons, Airflow and Airbyte as they were",
        "images of airflow as they were",
        "Airflow's database had not been migrated and was left as it is",
    ]
    assert not (machine.root / "srv/upgrade").exists()


def test_the_image_that_runs_is_kept_though_one_of_its_name_is_newer(machine: Machine) -> None:
    ask("keep", broken=[])
    upgraded(machine)
    ask("undo")
    docker = [
        line.removeprefix("as-service airflow docker ") for line in machine.asked() if " docker " in line
    ]
    assert "tag sha256:that-runs hangar-before/airflow:1" in docker
    assert (
        "create --label hangar.before --label com.docker.compose.project=hangar-before --entrypoint /bin/true "
        "hangar-before/airflow:1"
    ) in docker
    assert docker.index("tag hangar-before/airflow:1 hangar/airflow:1") > docker.index(
        "tag sha256:that-runs hangar-before/airflow:1"
    )


def test_the_services_stop_before_and_start_after(machine: Machine) -> None:
    ask("keep", broken=[])
    (machine.place / "asked").unlink()
    ask("undo")
    asked = machine.asked()
    assert asked[0] == "as-service airflow systemctl --user stop airflow.service"
    started = f"as-service airflow {machine.root}/srv/airflow/stack/ensure"
    assert (
        asked.index("systemctl daemon-reload") < asked.index(started) < asked.index("airflow-accounts apply")
    )


def test_a_migrated_database_is_replaced_by_the_copy(machine: Machine) -> None:
    ask("keep", broken=[])
    (machine.place / "head").write_text("2\n")
    said = ask("undo")["ok"]
    assert said[-1] == "Airflow's database as it was before it was migrated"
    assert (machine.place / "restored").read_text() == "dump of 1\n"
    assert 'alter database restored rename to "airflow";' in (machine.place / "said").read_text()


def test_a_database_that_was_not_migrated_keeps_what_came_since(machine: Machine) -> None:
    ask("keep", broken=[])
    ask("undo")
    assert not (machine.place / "restored").exists()


def test_half_a_copy_is_none(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "*pg_dump*")
    answer = ask("keep", broken=[])
    assert answer["error"]["text"].endswith("E: no such mirror")
    assert list((machine.root / "srv/upgrade").iterdir()) == [], "it may have failed for want of room"
    assert ask("undo") == {"error": {"kind": "nothing", "text": "nothing was kept to go back to"}}
    assert ask("look")["ok"]["cut"] is None


def test_a_way_back_that_was_cut_short_is_gone_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask("keep", broken=[])
    upgraded(machine)
    monkeypatch.setenv("FAILS", "*stack/ensure")
    assert "error" in ask("undo")
    monkeypatch.setenv("FAILS", "nothing")
    assert "ok" in ask("undo")
    assert machine.text("srv/airflow/stack/compose.yaml") == "image: hangar/airflow:1\n"


def test_an_upgrade_that_went_well_leaves_nothing(machine: Machine) -> None:
    ask("keep", broken=[])
    (machine.place / "second").write_text("hangar-before/airflow:1\n")
    ask("done")
    assert not (machine.root / "srv/upgrade").exists()
    assert "as-service airflow docker image rm hangar-before/airflow:1" in machine.asked()
