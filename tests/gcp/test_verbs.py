"""The verbs as a person types them."""

from __future__ import annotations

import json
import shutil
import threading
import time
from types import SimpleNamespace

import pytest

from hangar import cli, config, paths, process
from hangar.checks.finding import Finding
from hangar.cloud.gcp import lifecycle
from hangar.errors import HangarError, MachineMissing
from hangar.ssh.keys import ensure_key
from tests.gcp.conftest import Environment

NAME = "hangar-production"


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    capsys.readouterr()
    assert cli.main([*words, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_a_machine_is_stopped_started_and_saved_twice_within_a_second(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.up()
    assert answer(capsys, "stop", "production") == {"stopped": True}
    assert answer(capsys, "stop", "production") == {"stopped": False}
    assert answer(capsys, "start", "production") == {"started": True}
    monkeypatch.setattr(lifecycle, "time", SimpleNamespace(time=lambda: 1_700_000_000.0))
    first, second = (answer(capsys, "snapshot", "production", "create")["created"] for _ in range(2))
    assert (first, second) == (f"{NAME}-20231114-221320", f"{NAME}-20231114-221321")
    assert answer(capsys, "snapshot", "production", "delete", str(first), "--yes") == {"deleted": first}
    assert environment.google.table("objects") == {}  # every lock was let go


def test_a_machine_that_is_just_stopping_is_started_when_it_is_off(environment: Environment) -> None:
    environment.up()
    environment.google.settings(operation_seconds=0.5)
    cloud = environment.cloud()
    cloud.api.compute.begin("stop", cloud.names.instance)
    assert environment.instance["status"] == "STOPPING"
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        time.sleep(0.05)

    cloud.api.sleep = sleep
    assert lifecycle.InstanceLifecycle(cloud.config, cloud).start(environment.said.append)
    assert looks, "it was waited for"
    assert environment.instance["status"] == "RUNNING"


def test_stop_of_a_machine_that_is_just_stopping_ends_when_it_is_off(environment: Environment) -> None:
    environment.up()
    environment.google.settings(operation_seconds=0.5)
    cloud = environment.cloud()
    cloud.api.compute.begin("stop", cloud.names.instance)
    assert environment.instance["status"] == "STOPPING"
    cloud.api.sleep = lambda seconds: time.sleep(0.05)
    before = environment.calls()
    machine = lifecycle.InstanceLifecycle(cloud.config, cloud)
    assert machine.stop(environment.said.append)
    assert environment.instance["status"] == "TERMINATED"
    assert environment.said[-1] == "wait until the machine is off"
    assert environment.writes(before) == []
    assert not machine.stop(environment.said.append), "now it was off already"


def test_stop_does_not_call_a_machine_off_that_never_ends(environment: Environment) -> None:
    environment.up()
    cloud = environment.cloud()
    cloud.api.sleep = lambda seconds: None
    environment.google.edit(cloud.names.instance, status="STOPPING")
    with pytest.raises(HangarError) as still:
        lifecycle.InstanceLifecycle(cloud.config, cloud).stop(environment.said.append)
    assert still.value.brief == f"{NAME} is still stopping."
    assert still.value.resolution == "Wait for it with the same command: ./provision.py stop production"


def test_stop_of_a_machine_that_is_being_deleted_says_that_it_is_gone(environment: Environment) -> None:
    environment.up()
    environment.google.settings(operation_seconds=0.5)
    cloud = environment.cloud()
    cloud.api.compute.do("set_deletion_protection", cloud.names.instance, deletion_protection=False)
    cloud.api.compute.begin("delete", cloud.names.instance)
    cloud.api.sleep = lambda seconds: time.sleep(0.05)
    with pytest.raises(MachineMissing):
        lifecycle.InstanceLifecycle(cloud.config, cloud).stop(environment.said.append)


@pytest.mark.parametrize("words", [("ssh", "production"), ("logs", "airflow", "production")])
def test_a_machine_that_another_computer_made_is_known_at_the_first_word(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    called: list[list[str]] = []
    monkeypatch.setattr(process, "interactive", lambda argv: called.append(list(argv)) or 0)
    monkeypatch.setattr(process, "relayed", lambda argv, *_: called.append(list(argv)) or 0)
    assert cli.main([*words]) == 1
    assert "Make it: ./provision.py up production" in capsys.readouterr().err
    environment.up()
    assert cli.main([*words]) == 1
    assert "There is no key on this computer that opens the machine." in capsys.readouterr().err
    paths.ensure_state_dir("production")
    ensure_key(paths.default_private_key("production"), "colleague")
    assert cli.main([*words]) == 0
    assert called[0][:4] == ["ssh", "-F", str(paths.ssh_config("production")), NAME]
    pinned = paths.known_hosts("production").read_text()
    assert str(environment.instance["id"]) in pinned


def test_a_restored_environment_is_set_up_as_the_old_one(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.up()
    old = paths.env_dir("production")
    old.joinpath("airbyte.yml").write_text("environments: [production]\n")
    old.joinpath("extra.lock").write_text("humanize==4.13.0\n")
    old.joinpath("hosts.yml").write_text("generated\n")
    old.joinpath("host_vars").mkdir()
    old.joinpath("host_vars", "hangar-production.yml").write_text("airflow_releases_kept: 3\n")
    name = str(answer(capsys, "snapshot", "production", "create")["created"])
    assert cli.main(["restore", "production", "--from", name, "--to", "recovered", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"environment": "recovered", "disk": "hangar-recovered-data"}
    new = paths.env_dir("recovered")
    assert {path.name for path in new.iterdir()} == {
        "platform.yml", "airbyte.yml", "extra.lock", "host_vars",
    }  # fmt: skip
    assert [path.name for path in (new / "host_vars").iterdir()] == ["hangar-recovered.yml"]
    assert f"{paths.shown(new)}/airbyte.yml is for production by name: add recovered" in said.err
    assert config.load("recovered").gcp == config.load("production").gcp
    # A call that was killed between the disk and the folder is finished by the same one; another's disk is not taken.
    shutil.rmtree(new)
    assert cli.main(["restore", "production", "--from", name, "--to", "recovered"]) == 0
    again = str(answer(capsys, "snapshot", "production", "create")["created"])
    shutil.rmtree(new)
    assert cli.main(["restore", "production", "--from", again, "--to", "recovered"]) == 1
    told = capsys.readouterr().err
    assert f"There is a disk hangar-recovered-data already, and it does not come from {again}." in told
    assert "gcloud compute disks delete hangar-recovered-data --project" in told
    new.mkdir()
    assert cli.main(["restore", "production", "--from", name, "--to", "recovered"]) == 1
    assert "There is an environment recovered already." in capsys.readouterr().err


def test_a_restored_environment_is_told_where_its_backups_would_go(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.up()
    name = str(answer(capsys, "snapshot", "production", "create")["created"])
    words = ["restore", "production", "--from", name, "--to"]
    assert cli.main([*words, "quiet"]) == 0
    assert "backups" not in capsys.readouterr().err
    assert cli.main([*words, "recovered", "--set", "backup.gcs.bucket=acme-backups"]) == 0
    where = paths.shown(paths.platform_file("recovered"))
    assert (
        f"Its backups go where those of production go (backup.gcs): name places of its own in {where} before `up`."
        in " ".join(capsys.readouterr().err.split())
    )


def test_a_snapshot_that_is_not_there_makes_no_environment(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.up()
    assert cli.main(["restore", "production", "--from", "hangar-production-1"]) == 1
    assert "The environment production has no snapshot hangar-production-1." in capsys.readouterr().err
    assert not paths.env_dir("production-restored").exists()


def test_the_cost_is_added_up(environment: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "cost", "production")
    assert round(float(str(found["after"])), 2) == 141.65
    assert cli.main(["cost", "production", "--set", "gcp.machine_type=e2-standard-8"]) == 0
    said = capsys.readouterr().out
    assert "267.70 USD" in said
    assert "From list prices of europe-west3 of 2026-07-30; " in said
    unknown = answer(capsys, "cost", "production", "--set", "gcp.machine_type=e2-highmem-8")
    assert (unknown["after"], unknown["unpriced"]) == (None, ["machine_hour.e2-highmem-8"])
    assert cli.main(["cost", "production", "--set", "gcp.machine_type=e2-highmem-8"]) == 0
    said = capsys.readouterr().out
    assert "machine_hour.e2-highmem-8                 no price\n" in said
    assert "a month of 730 hours                     not known\n" in said
    assert environment.calls() == 0  # for this nobody is asked


def test_destroy_asks_for_the_name_where_the_data_goes(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.up()
    assert cli.main(["destroy", "production", "--with-data", "--yes"]) == 1
    assert "Say --confirm production to answer beforehand" in capsys.readouterr().err
    assert environment.instance["status"] == "RUNNING"
    gone = answer(capsys, "destroy", "production", "--with-data", "--confirm", "production")
    assert f"data disk {NAME}-data and what is on it" in gone["removed"]
    assert gone["kept"] == []
    assert environment.google.resources("disks") == {}


def test_doctor_looks_at_the_project(environment: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    environment.google.deny("compute.instances.create")
    assert cli.main(["doctor", "production"]) == 1
    assert "missing: compute.instances.create" in capsys.readouterr().out
    environment.google.deny()
    assert cli.main(["doctor", "production"]) == 0
    assert capsys.readouterr().out.endswith("A machine can be made in hangar-test.\n")


def test_doctor_looks_at_the_project_of_a_machine_that_is_there_too(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A 403 of a later `up` that names no permission sends people here."""
    monkeypatch.setattr("hangar.checks.way.look", lambda env: [Finding("Key", "ok", "here")])
    paths.ensure_state_dir("production")
    paths.ssh_config("production").touch()
    assert cli.main(["doctor", "production"]) == 0
    said = capsys.readouterr().out
    assert "✓ Key           here\n" in said
    assert said.endswith("An editor can work on hangar-production. Nothing in hangar-test stops an `up`.\n")
    environment.google.deny("compute.firewalls.update")
    assert cli.main(["doctor", "production"]) == 1
    said = capsys.readouterr().out
    assert "✗ Permissions   missing: compute.firewalls.update\n" in said
    assert "--role roles/compute.securityAdmin" in said
    assert cli.main(["doctor", "production", "--set", "gcp.zone=nowhere"]) == 1
    said = capsys.readouterr().out
    assert "✓ Key       here\n" in said
    assert "✗ Settings  " in said
    assert "gcp.zone" in said
    before = environment.calls()
    (paths.state_dir("production") / "ssh_config.login").touch()
    assert cli.main(["doctor", "production"]) == 0, (
        "who only works on the machine changes nothing in the project"
    )
    assert environment.calls() == before


def test_doctor_asks_google_while_it_walks_the_way(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other they would take more than the 6 s that doctor has"""
    asked = threading.Event()
    monkeypatch.setattr("hangar.checks.google.look", lambda config: asked.set() or [])
    monkeypatch.setattr(
        "hangar.checks.way.look",
        lambda env: [Finding("Key", "ok" if asked.wait(20) else "missing", "")],
    )
    paths.ensure_state_dir("production")
    paths.ssh_config("production").touch()
    assert cli.main(["doctor", "production"]) == 0


def test_a_file_that_is_wrong_is_said_before_google_is_asked(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("plan", "up", "stop", "cost", "destroy"):
        assert cli.main([verb, "production", "--set", "gcp.zone=nowhere", "--yes"]) == 2
    assert environment.calls() == 0
