"""The machine's end: what it keeps comes back, and nothing stays drained. Docker, systemd and apt are written down
instead of called; files and SQLite are real.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import hangar_bounds
import pytest

from hangar.serving import Refusal
from hangar.upgrade import agent
from hangar.upgrade.remote import keeping, looking, running

LISTENS = """#!/bin/sh
echo "${{0##*/}} $*" >> {place}/asked
case "${{0##*/}} $*" in
$FAILS) cat > /dev/null; printf "$PRINTS"; echo "E: no such mirror" >&2; exit 100;;
*" psql "*)
    cat > {place}/sql
    case "$(cat {place}/sql)" in
    *pg_tables*) echo alembic_version;;
    *version_num*) cat {place}/head;;
    *) cat {place}/sql >> {place}/said;;
    esac;;
*" pg_dump "*) echo dump of $(cat {place}/head);;
*" pg_restore "*) cat > {place}/restored;;
*"container ls"*) echo c1;;
*"container inspect"*) echo hangar/airflow:1 sha256:that-runs;;
*"image ls --format"*) cat {place}/second 2>/dev/null;;
*" python3 -c "*) echo "$INSIDE";;
*"config lint"*) printf 'Found issues in your airflow.cfg:\\n  - Removed `check_slas`.\\n\\nPlease update\\n';;
"apt-get --simulate"*) echo 'Inst less [668-1] (668-2 Debian:13.3/stable [amd64])';;
"apt-get --quiet --yes"*) sed -i s/668-1/668-2/ {place}/installed;;
"dpkg-query"*) cat {place}/installed;;
esac
"""
"""What the machine's programs answer, as far as an upgrade listens."""

PROGRAMS = (
    "as-service",
    "systemctl",
    "systemd-run",
    "apt-get",
    "dpkg",
    "dpkg-query",
    "docker-hosts",
    "maintenance",
    "airflow-accounts",
    "airbyte-abctl",
    "airbyte-secrets",
)


class Machine:
    def __init__(self, place: Path) -> None:
        self.place, self.root = place, place / "root"
        self.file("srv/airflow/stack/image/images.json", json.dumps({"images": ["hangar/airflow:1"]}))
        self.file("srv/airflow/stack/compose.yaml", "image: hangar/airflow:1\n")
        self.file("srv/airflow/state/.keep", "")
        self.file("srv/maintenance/.keep", "")
        self.file("usr/local/sbin/airflow-release", "old\n").chmod(0o755)
        self.file("etc/systemd/user/airflow.service", "old\n")
        self.file("etc/ssh/sshd_config", "old\n")
        self.file(
            "etc/hangar/maintenance.json", json.dumps({"airflow": 0, "airbyte": False, "revision": "aaaa"})
        )
        (place / "head").write_text("1\n")
        (place / "installed").write_text("ii  less 668-1\nii  docker.io 26\n")

    def file(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def text(self, name: str) -> str:
        return (self.root / name).read_text()

    def asked(self) -> list[str]:
        path = self.place / "asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    bin = tmp_path / "bin"
    bin.mkdir()
    for name in PROGRAMS:
        (bin / name).write_text(LISTENS.format(place=tmp_path))
        (bin / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    monkeypatch.setenv("FAILS", "nothing")
    monkeypatch.setenv("PRINTS", "")
    monkeypatch.setenv("INSIDE", "{}")
    root = made.root
    for module in (agent, keeping, looking, running):
        monkeypatch.setattr(module, "SRV", root / "srv", raising=False)
    for module in (keeping, running):
        monkeypatch.setattr(module, "DESCRIBED", root / "etc/hangar/maintenance.json")
    monkeypatch.setattr(keeping, "ROOT", root)
    monkeypatch.setattr(keeping, "HOME", root / "srv/upgrade")
    monkeypatch.setattr(keeping, "KEEPING", root / "srv/upgrade/.keeping")
    for module in (keeping, looking):
        monkeypatch.setattr(module, "BEFORE", root / "srv/upgrade/before")
    monkeypatch.setattr(looking, "DRAINED", root / "srv/maintenance/drained.json")
    monkeypatch.setattr(agent, "LOCK", root / "srv/maintenance/lock")
    return made


def ask(op: str, **request: Any) -> Any:
    return agent.Agent().answer(json.dumps({"op": op, **request}))


def upgraded(machine: Machine) -> None:
    """What the playbook of a newer checkout leaves."""
    machine.file("srv/airflow/stack/compose.yaml", "image: hangar/airflow:2\n")
    machine.file("srv/airflow/stack/new", "")
    machine.file("usr/local/sbin/airflow-new", "")
    machine.file("usr/local/sbin/people", "another role's\n")
    machine.file("etc/systemd/user/airflow.service", "new\n")
    machine.file("etc/ssh/sshd_config", "new\n")
    machine.file(
        "etc/hangar/maintenance.json", json.dumps({"airflow": 0, "airbyte": False, "revision": "bbbb"})
    )


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


@pytest.mark.parametrize("migrated", [True, False])
def test_airbytes_records(machine: Machine, migrated: bool) -> None:
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    machine.file("srv/airbyte/state/.keep", "")
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    records = sqlite3.connect(place)
    records.execute("create table jobs (id)")
    records.commit()
    ask("keep", broken=[])
    records.execute("insert into jobs values (1)")
    if migrated:
        records.execute("create table later (id)")
    records.commit()
    records.close()
    said = ask("undo")["ok"]
    found = sqlite3.connect(place).execute("select count(*) from jobs").fetchone()[0]
    assert (said[-1], found) == (
        ("Airbyte's records as they were before they were migrated", 0)
        if migrated
        else ("Airbyte's records had not been migrated and were left as they are", 1)
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="what root does in a service's folder")
def test_airbytes_records_go_back_through_no_link(machine: Machine) -> None:
    """The folder is the service's: a link in it, or in its place, would have root write wherever that points."""
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    machine.file("srv/airbyte/state/.keep", "")
    secret = machine.file("etc/shadow", "root's")
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    sqlite3.connect(place).execute("create table jobs (id)")
    ask("keep", broken=[])
    sqlite3.connect(place).execute("create table later (id)")
    (place.parent / ".restored").symlink_to(secret)
    moved = place.parent.rename(machine.root / "elsewhere")
    place.parent.symlink_to(moved)
    os.chown(place.parent, 2002, 2002, follow_symlinks=False)
    link = "is a symbolic link that root did not make; not followed"
    assert ask("undo") == {"error": {"kind": "failed", "text": f"{place.parent}: {link}"}}
    place.parent.unlink()
    moved.rename(place.parent)
    assert ask("undo")["ok"][-1] == "Airbyte's records as they were before they were migrated"
    assert (secret.read_text(), secret.stat().st_uid) == ("root's", os.geteuid())


def test_airbytes_records_are_kept_through_no_link(machine: Machine) -> None:
    """What root would copy from behind it, Airbyte gets to read on the way back."""
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    secret = machine.root / "roots.sqlite"
    sqlite3.connect(secret).execute("create table secret (id)")
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    place.unlink()
    place.symlink_to(secret)
    text = f"{place} is no plain file: Airbyte's records cannot be copied"
    assert ask("keep", broken=[])["error"]["text"] == text
    assert not list(machine.root.glob("srv/upgrade/**/*.sqlite"))


def test_records_that_an_upgrade_broke_are_what_they_were(machine: Machine) -> None:
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    machine.file("srv/airbyte/state/.keep", "")
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    sqlite3.connect(place).execute("create table jobs (id)")
    ask("keep", broken=[])
    place.write_text("no database, but long enough to be taken for one " * 9)
    assert ask("undo")["ok"][-1] == "Airbyte's records as they were before they were migrated"
    assert sqlite3.connect(place).execute("select count(*) from jobs").fetchone()[0] == 0


def with_platform(machine: Machine, said: str, **record: object) -> None:
    """Airbyte's platform as the role leaves it, described by `said`."""
    for name in ("inside", "install", "values.yaml", "wanted.json", "bin/a1/abctl"):
        machine.file(f"srv/airbyte/abctl/{name}", said)
    machine.file("srv/airbyte/abctl/state/installed.json", json.dumps({"chart": "2.4.0", **record}))


def test_settings_of_airbytes_platform_go_back(machine: Machine) -> None:
    with_platform(machine, "old\n")
    machine.file("usr/local/lib/hangar/hangar_abctl/machine.py", "old\n")
    ask("keep", broken=[])
    with_platform(machine, "new\n")
    machine.file("usr/local/lib/hangar/hangar_abctl/machine.py", "new\n")
    machine.file("srv/airbyte/abctl/bin/b2/abctl", "new\n")
    said = ask("undo")["ok"]
    assert said[-1] == running.PLATFORM_BACK == "Airbyte's platform as it was"
    assert {
        machine.text(f"srv/airbyte/abctl/{name}") for name in ("inside", "values.yaml", "wanted.json")
    } == {"old\n"}
    assert [path.name for path in (machine.root / "srv/airbyte/abctl/bin").iterdir()] == ["a1"]
    assert machine.text("usr/local/lib/hangar/hangar_abctl/machine.py") == "old\n"
    assert machine.asked().index("airbyte-abctl apply --upgrade") < machine.asked().index(
        "airbyte-secrets ensure"
    )


@pytest.mark.parametrize("begun", [True, False])
def test_another_release_of_airbytes_platform_stays(machine: Machine, begun: bool) -> None:
    """Nothing is described that cannot read what is there; nor is one touched that was cut short."""
    with_platform(machine, "old\n")
    ask("keep", broken=[])
    with_platform(machine, "new\n", chart="2.4.0" if begun else "2.5.0")
    if begun:
        machine.file("srv/airbyte/abctl/state/begun.json", json.dumps({"chart": "2.5.0"}))
    assert running.PLATFORM_BACK not in ask("undo")["ok"]
    assert machine.text("srv/airbyte/abctl/wanted.json") == "new\n"
    assert [line for line in machine.asked() if line.startswith("airbyte-")] == []


def test_records_larger_than_the_memory_stop_no_upgrade_half_way(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping.databases, "LARGEST", 1 << 20)
    machine.file("srv/airbyte/stack/image/images.json", json.dumps({"images": ["hangar/airbyte-embedded:1"]}))
    place = machine.file("srv/airbyte/data/state.sqlite", "")
    with sqlite3.connect(place) as live:
        live.execute("create table jobs as select zeroblob(1 << 20)")
    text = "Copying Airbyte's records failed: they are larger than 1 MiB"
    assert ask("keep", broken=[])["error"]["text"] == text
    assert ask("look")["ok"]["cut"] is None


def test_a_service_cannot_hold_root_up_nor_fill_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal) as held:
        running.run(["sleep", "60"], check=False, seconds=1)
    assert held.value.answer["text"] == "sleep 60: took longer than 1 seconds"
    monkeypatch.setattr(hangar_bounds, "SAID", 1 << 20)
    with pytest.raises(Refusal) as endless:
        running.run(["yes"])
    assert endless.value.answer["text"] == "yes: says more than 1 MiB"


def test_half_a_copy_is_none(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "*pg_dump*")
    answer = ask("keep", broken=[])
    assert answer["error"]["text"].endswith("E: no such mirror")
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


def test_what_the_machine_has(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = {"environments": {"/opt/dbt": {"dbt-core": "1.11.2"}}, "limits": {}, "python": "3.13.5",
              "machine": "x86_64", "suite": "trixie"}  # fmt: skip
    monkeypatch.setenv("INSIDE", json.dumps(inside))
    machine.file("srv/airflow/state/images-outdated", "")
    machine.file("srv/airflow/postgres/17/PG_VERSION", "17\n")
    machine.file("srv/warehouse/postgres/PG_VERSION", "17\n")
    found = ask("look")["ok"]
    assert found["simulated"].startswith("Inst less [668-1]")
    assert (found["apt_problem"], found["apt_refusal"]) == ("", "")
    assert (found["revision"], found["chart"]) == ("aaaa", "")
    assert found["services"] == {"airflow": {**inside, "running": True, "outdated": True, "waiting": False}}
    assert found["postgres"] == {"airflow": "17", "warehouse": "17"}
    assert found["lint"] == ["Removed `check_slas`."]


def test_airbytes_platform_is_told_without_what_its_settings_say(machine: Machine) -> None:
    assert ask("look")["ok"]["platform"] is None
    record = {"chart": "2.4.0", "port": 8000, "low_resource": False, "values": "1"}
    machine.file("srv/airbyte/abctl/state/installed.json", json.dumps(record))
    found = ask("look")["ok"]
    assert (found["chart"], found["platform"]["settings"]) == ("2.4.0", None)
    given = {"global": {"storage": {"key": "hunter2"}, "env": [{"name": "x"}], "none": {}}}
    machine.file("srv/airbyte/abctl/state/installed.json", json.dumps({**record, "helm": given}))
    found = ask("look")["ok"]
    assert set(found["platform"]["settings"]) == {"global.storage.key", "global.env", "global.none"}
    assert "hunter2" not in json.dumps(found)


def test_a_mirror_that_does_not_answer_and_containers_that_do_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "*update")
    found = ask("look")["ok"]
    assert found["apt_problem"] == "E: no such mirror"
    monkeypatch.setenv("FAILS", "*python3*")
    assert ask("look")["ok"]["services"]["airflow"]["running"] is False


def test_packages_that_do_not_fit_together_keep_nothing_else_from_being_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "*--simulate*")
    monkeypatch.setenv("PRINTS", "The following packages have unmet dependencies:\n systemd : Breaks: less\n")
    found = ask("look")["ok"]
    assert found["simulated"].endswith(" systemd : Breaks: less\n")
    assert (found["apt_problem"], found["apt_refusal"]) == ("", "E: no such mirror")
    assert found["revision"] == "aaaa"


def test_a_cut_upgrade_is_seen(machine: Machine) -> None:
    ask("keep", broken=["base: Time is kept"])
    machine.file("srv/maintenance/drained.json", "{}")
    found = ask("look")["ok"]["cut"]
    assert (found["revision"], found["broken"], found["held"]) == ("aaaa", ["base: Time is kept"], True)
    (machine.root / "srv/maintenance/drained.json").unlink()
    assert ask("look")["ok"]["cut"]["held"] is False


def test_tasks_begin_again_however_the_call_ends(machine: Machine) -> None:
    held = agent.Agent()
    assert held.answer(json.dumps({"op": "drain", "hold": 1800, "again": False})) == {"ok": None}
    lock = machine.root / "srv/maintenance/lock"
    assert machine.asked()[-1] == (
        "systemd-run --quiet --collect --unit=hangar-upgrade-hold /bin/sh -c "
        f"flock {lock} true; sleep 1800; exec systemctl start hangar-resume.service"
    )
    assert ask("drain", hold=1800, again=False)["error"] == {
        "kind": "busy",
        "text": "maintenance is at work (journalctl -u hangar-maintenance), or an upgrade whose call was killed",
    }
    held.answer(json.dumps({"op": "release", "patience": 1}))
    assert machine.asked()[-1] == "systemctl stop hangar-upgrade-hold.service"


def test_packages_and_what_still_runs_old_ones(machine: Machine) -> None:
    assert ask("packages", docker=["docker.io"]) == {"ok": [["less", "668-1", "668-2"]]}
    assert not [line for line in machine.asked() if line.startswith(("docker-hosts", "systemctl"))]
    assert machine.asked()[-1] == "maintenance renew"


def test_what_was_left_half_installed_is_finished_first(machine: Machine) -> None:
    ask("packages", docker=[])
    asked = [line for line in machine.asked() if line.startswith(("dpkg --", "apt-get"))]
    assert asked[0] == "dpkg --force-confdef --force-confold --configure --pending"
    assert asked[1].startswith("apt-get --quiet --yes ")
    assert asked[1].endswith("--force-confold --with-new-pkgs upgrade")


def test_dockers_packages_start_the_daemons_anew(machine: Machine) -> None:
    assert ask("packages", docker=["less"]) == {"ok": [["less", "668-1", "668-2"]]}
    hosts = [line for line in machine.asked() if line.startswith("docker-hosts") or line.endswith("ensure")]
    assert hosts == [
        "docker-hosts reload", "docker-hosts ensure", f"as-service airflow {machine.root}/srv/airflow/stack/ensure",
    ]  # fmt: skip


def test_a_new_postgres_is_taken_by_the_warehouse(machine: Machine) -> None:
    (machine.place / "installed").write_text("ii  postgresql-17 668-1\n")
    ask("packages", docker=[])
    assert "systemctl try-restart warehouse.service" in machine.asked()


def test_what_is_installed_in_a_container_is_told_with_what_it_demands_of_airflow(tmp_path: Path) -> None:
    metadata = {
        "airflow/venv": (
            "Name: apache_airflow_providers_sftp\nVersion: 5.0\nRequires-Dist: apache-airflow<3.4,>=2.11\n"
            "Requires-Dist: apache-airflow-providers-ssh>=3\nRequires-Dist: apache-airflow>=9 ; extra == 'x'\n"
        ),
        "dbt": "Name: dbt-core\nVersion: 1.11.2\n",
    }
    for place, text in metadata.items():
        info = tmp_path / place / "lib/python3.13/site-packages/one-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{text}")
    script = looking.INSIDE.replace("/opt/", f"{tmp_path}/")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["environments"] == {
        f"{tmp_path}/airflow/venv": {"apache-airflow-providers-sftp": "5.0"},
        f"{tmp_path}/dbt": {"dbt-core": "1.11.2"},
    }
    assert found["limits"] == {"apache-airflow-providers-sftp": "apache-airflow<3.4,>=2.11"}
    assert found["python"].count(".") == 2
    assert found["suite"]
