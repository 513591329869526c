"""Airbyte's own platform in a backup. Its cluster is a script that writes down what it is asked, as Kubernetes cannot
be had here; the databases behind it are a real Postgres.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hangar_abctl import machine
from hangar_backup import abctl, files, making, putting_back, scratch
from hangar_backup.described import Refused
from hangar_backup.parts import parts

from tests.ansible.test_backup_dumps import DESCRIBED, ask
from tests.ansible.test_backup_dumps import place as place
from tests.ansible.test_backup_dumps import pytestmark as pytestmark
from tests.templates.render import value

PLATFORM = replace(DESCRIBED, airbyte=False, abctl=True)

CLUSTER = """#!/bin/sh
# NOT Airbyte's cluster: writes down what it is asked, and lets the pod's programs work on a Postgres of the test's.
cd "{folder}"
shift 5 # airbyte docker exec --interactive NODE
echo "$*" >> asked
shift 5 # kubectl --kubeconfig FILE --namespace NAME
[ ! -e away ] || {{ echo 'The connection to the server was refused' >&2; exit 1; }}
case "$1 $2 $3" in
"get secret "*) cat secret.json ;;
"get deployments --output") case "$4" in json) cat deployments.json ;; *) cat running ;; esac ;;
"scale deployment --all") [ -e stubborn ] || : > running ;;
"scale deployment "*) ;;
"patch secret "*) cat > patched.json ;;
"exec --stdin airbyte-db-0") program=$5; shift 5
    exec runuser -u postgres -- {programs}/$program --host={socket} "$@" ;;
*) echo "the script does not know: $*" >&2; exit 1 ;;
esac
"""
SECRET = {"instance-admin-password": "cGFzc3dvcmQ=", "jwt-signature-secret": "c2lnbmVk"}


class Cluster:
    """What stands for the platform, and its Postgres."""

    def __init__(self, folder: Path, server: scratch.Scratch, place: Path) -> None:
        self.folder, self.server = folder, server
        program = folder / "as-service"
        text = CLUSTER.format(folder=folder, programs=DESCRIBED.programs, socket=place / "platform/scratch")
        program.write_text(text)
        program.chmod(0o755)
        self.write("secret.json", {"data": SECRET})
        deployments = {"airbyte-abctl-server": 1, "airbyte-abctl-worker": 3, "airbyte-abctl-off": 0}
        self.write("deployments.json", {
            "items": [{"metadata": {"name": name}, "spec": {"replicas": count}}
                      for name, count in deployments.items()],
        })  # fmt: skip
        (folder / "running").write_text("1 3")
        self.write("state/installed.json", {"chart": "2.4.0", "external_database": False})

    def write(self, name: str, content: Any) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(json.dumps(content))

    def asked(self, *words: str) -> list[str]:
        """What it was asked after the words that name the cluster."""
        lines = (self.folder / "asked").read_text().splitlines() if (self.folder / "asked").exists() else []
        said = [line.partition("--namespace airbyte-abctl ")[2] for line in lines]
        return [line for line in said if line.startswith(" ".join(words))]

    def jobs(self) -> str:
        return ask(
            self.server,
            "db-airbyte",
            "airbyte",
            "select string_agg(status, ',' order by id) from public.jobs",
        ).strip()


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[scratch.Scratch]:
    work = place / "platform"
    work.mkdir(mode=0o711)
    with scratch.cluster(DESCRIBED, "airbyte", [], work) as one:
        yield one


@pytest.fixture
def cluster(place: Path, server: scratch.Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    for name in ("db-airbyte", "temporal"):
        ask(server, "postgres", "airbyte", f'drop database if exists "{name}" with (force);')
        ask(server, "postgres", "airbyte", f'create database "{name}" template template0;')
    ask(server, "db-airbyte", "airbyte",
        "set search_path = public; create extension pgcrypto; create table jobs (id int primary key, status text);"
        "create table connection (id uuid default gen_random_uuid());"
        "insert into jobs values (1, 'succeeded'), (2, 'running');")  # fmt: skip
    ask(
        server,
        "temporal",
        "airbyte",
        "set search_path = public; create extension btree_gin; create table executions (id int);",
    )
    found = Cluster(tmp_path, server, place)
    # Its folder, in a place that the trial's account may pass.
    work = place / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o711)
    monkeypatch.setattr(abctl, "AIRBYTE", (str(tmp_path / "as-service"), "airbyte"))
    monkeypatch.setattr(abctl, "RECORDS", tmp_path / "state")
    monkeypatch.setattr(abctl, "REPLICAS", tmp_path / "replicas.json")
    monkeypatch.setattr(abctl, "WORK", work)
    monkeypatch.setattr(scratch.cluster.__wrapped__, "__defaults__", (work,))
    return found


def copy(cluster: Cluster) -> Path:
    archive = abctl.WORK / "abctl"
    abctl.make(archive)
    return archive.rename(cluster.folder / "archive")


def test_the_cluster_is_the_one_that_the_role_makes() -> None:
    assert abctl.NODE[-1] == machine.NODE
    assert abctl.KUBECTL[-1] == machine.NAMESPACE
    assert (abctl.SECRET, abctl.RECORDS) == (machine.AUTH_SECRET, machine.STATE)


def test_connections_and_jobs_are_copied_tried_and_come_back(cluster: Cluster) -> None:
    ask(cluster.server, "postgres", "airbyte", "drop database if exists restored; create database restored")
    archive = copy(cluster)
    assert abctl.tried(PLATFORM, archive) == 3  # tables, of both databases
    # Another machine: nothing of all that, and credentials of its own.
    ask(
        cluster.server,
        "db-airbyte",
        "airbyte",
        "truncate public.jobs; insert into public.jobs values (9, 'failed')",
    )
    abctl.stop()
    abctl.restore(archive)
    abctl.start()
    assert cluster.jobs() == "succeeded,running"
    assert json.loads((cluster.folder / "patched.json").read_text()) == {"data": SECRET}
    assert cluster.asked("scale") == [
        "scale deployment --all --replicas=0",
        "scale deployment airbyte-abctl-server --replicas=1",
        "scale deployment airbyte-abctl-worker --replicas=3",
        "scale deployment airbyte-abctl-off --replicas=0",
    ]
    assert not list(abctl.WORK.glob("abctl-*")), "plain copies were left"


def test_no_secret_stands_in_an_argument(cluster: Cluster) -> None:
    archive = copy(cluster)
    abctl.restore(archive)
    said = (cluster.folder / "asked").read_text()
    assert json.loads((cluster.folder / "patched.json").read_text()) == {"data": SECRET}, "they came back"
    assert not any(value in said for value in SECRET.values())


def test_a_call_that_was_killed_forgets_no_number(cluster: Cluster) -> None:
    """The second one finds everything at 0."""
    abctl.stop()
    off = {"items": [{"metadata": {"name": "airbyte-abctl-worker"}, "spec": {"replicas": 0}}]}
    cluster.write("deployments.json", off)
    abctl.stop()
    abctl.start()
    assert "scale deployment airbyte-abctl-worker --replicas=3" in cluster.asked("scale")
    abctl.start()  # and without a stop nothing is scaled
    assert len(cluster.asked("scale deployment airbyte-abctl-worker")) == 1


def test_programs_that_do_not_end_are_not_restored_under(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abctl, "STOPPED", 0.0)
    (cluster.folder / "stubborn").touch()
    with pytest.raises(Refused, match="Airbyte's programs have not ended within 0 seconds"):
        abctl.stop()


def test_a_backup_of_another_release_is_refused_before_anything_stops(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = copy(cluster)
    cluster.write("state/installed.json", {"chart": "2.5.0", "external_database": False})
    (cluster.folder / "asked").unlink()
    with pytest.raises(Refused) as refused:
        abctl.require_fits(archive)
    assert str(refused.value) == (
        "The backup is of Airbyte 2.4.0, and 2.5.0 is installed here; nothing was touched. "
        "Install that one (airbyte.abctl.chart: 2.4.0), restore, then upgrade it"
    )
    assert not (cluster.folder / "asked").exists()


def test_a_postgres_of_ones_own_is_ones_own_to_copy(cluster: Cluster) -> None:
    cluster.write("state/installed.json", {"chart": "2.4.0", "external_database": True})
    archive = copy(cluster)
    assert abctl.tried(PLATFORM, archive) == 0
    assert cluster.asked("exec") == []
    folder = cluster.folder / "unpacked"
    files.unpack(archive, folder)
    assert [path.name for path in folder.iterdir()] == ["platform.json"]


def test_a_cluster_that_does_not_answer_fails_its_part_and_leaves_no_half_copy(cluster: Cluster) -> None:
    (cluster.folder / "away").touch()
    with pytest.raises(Refused, match="Airbyte's database failed: The connection to the server was refused"):
        abctl.make(abctl.WORK / "abctl")
    assert not list(abctl.WORK.iterdir())


def test_a_dump_that_no_postgres_takes_is_no_backup(cluster: Cluster) -> None:
    archive = copy(cluster)
    folder = cluster.folder / "unpacked"
    files.unpack(archive, folder)
    dump = folder / "db-airbyte.dump"
    dump.write_bytes(dump.read_bytes()[:-200])
    files.pack(folder.iterdir(), archive, folder)
    with pytest.raises(Refused):
        abctl.tried(PLATFORM, archive)


@pytest.mark.parametrize("name", ["../x", 'a"; drop database temporal; --', "postgres; x"])
def test_an_archive_with_names_of_its_own_is_refused(cluster: Cluster, name: str) -> None:
    folder = cluster.folder / "unpacked"
    folder.mkdir()
    content = {"chart": "2.4.0", "databases": [name], "secret": {}}
    (folder / "platform.json").write_text(json.dumps(content))
    archive = cluster.folder / "archive"
    files.pack(folder.iterdir(), archive, folder)
    with pytest.raises(Refused, match="databases of names that nobody expects"):
        abctl.restore(archive)


def test_a_machine_has_the_part_of_its_own_engine() -> None:
    assert [part.name for part in parts(PLATFORM)] == ["secrets", "airflow", "warehouse", "abctl", "files"]
    assert "abctl" not in [part.name for part in parts(DESCRIBED)]
    assert "abctl" in putting_back.PARTS


def test_the_dump_is_tried_before_it_is_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (part,) = (one for one in parts(PLATFORM) if one.name == "abctl")
    monkeypatch.setattr(abctl, "tried", lambda described, archive: 42 if archive == tmp_path else 0)
    assert making.Maker._tried(making.Maker, part, tmp_path) == 42  # type: ignore[arg-type]


def test_the_platform_starts_before_airflow_asks_it() -> None:
    steps = [" ".join(step) for step in putting_back._steps(PLATFORM)]
    assert steps.index("airbyte-abctl apply") < steps.index("airbyte-secrets ensure")
    assert steps.index("airbyte-secrets ensure") < steps.index("airflow-secrets ensure")
    assert not any("/srv/airbyte/stack" in step for step in steps)


@pytest.mark.parametrize(("engine", "copied"), [("abctl", "abctl"), ("embedded", "airbyte")])
def test_the_role_copies_the_engine_that_the_machine_has(engine: str, copied: str) -> None:
    described = value("backup", "__backup_described", airbyte_engine=engine)
    assert {name for name in ("airbyte", "abctl") if described[name]} == {copied}
    without = value("backup", "__backup_described", airbyte_engine=engine, airbyte_enabled=False)
    assert not without["airbyte"]
    assert not without["abctl"]
