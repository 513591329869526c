"""The machine's program `airbyte-abctl`: when it runs abctl, when it refuses, and what it does around it."""

from __future__ import annotations

import grp
import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import hangar_words
import pytest
import secret_files
from hangar_abctl import archive, credentials, lifecycle, machine, names, passed
from hangar_abctl.decision import Found, decide

from tests.templates.render import render

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")

WANTED = {"chart": "2.4.0", "port": 8000, "values": "a", "low_resource": False}
OTHER = {**WANTED, "chart": "2.5.0"}
RUNS = {"node": "running", "healthy": True, "data": True}


def word(**found: Any) -> str:
    return decide(Found(**{"wanted": WANTED, **found})).word


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, "install"),
        ({"data": True, "kept": WANTED}, "install"),
        ({"data": True, "kept": OTHER}, "refuse"),
        ({"node": "running"}, "refuse"),
        # what is installed
        ({"installed": WANTED, **RUNS}, "nothing"),
        ({"installed": WANTED, **RUNS, "healthy": False}, "start"),
        ({"installed": WANTED, **RUNS, "node": "exited"}, "start"),
        ({"installed": WANTED, "data": True}, "refuse"),
        ({"installed": WANTED, "data": True, "allowed": frozenset({"resume"})}, "resume"),
        ({"installed": {**WANTED, "chart": "2.3.9"}, **RUNS}, "refuse"),
        ({"installed": {**WANTED, "chart": "2.3.9"}, **RUNS, "allowed": frozenset({"upgrade"})}, "upgrade"),
        ({"installed": {**WANTED, "values": "b"}, **RUNS}, "refuse"),
        ({"installed": {**WANTED, "values": "b"}, **RUNS, "allowed": frozenset({"upgrade"})}, "upgrade"),
        ({"installed": {**WANTED, "port": 8010}, **RUNS}, "refuse"),
        ({"installed": {**WANTED, "port": 8010}, **RUNS, "allowed": frozenset({"upgrade"})}, "refuse"),
        ({"installed": OTHER, **RUNS, "allowed": frozenset({"upgrade", "resume"})}, "refuse"),
        ({"installed": {**WANTED, "chart": "2.10.0"}, **RUNS, "allowed": frozenset({"upgrade"})}, "refuse"),
        # what was interrupted
        ({"begun": WANTED, "working": True}, "wait"),
        ({"begun": WANTED}, "install"),
        ({"begun": WANTED, "data": True}, "refuse"),
        ({"begun": WANTED, "node": "running"}, "refuse"),
        ({"begun": WANTED, "node": "running", "allowed": frozenset({"resume"})}, "resume"),
        ({"begun": WANTED, "node": "running", "allowed": frozenset({"upgrade"})}, "refuse"),
        ({"begun": WANTED, **RUNS, "deployed": "2.4.0"}, "adopt"),
        ({"begun": WANTED, **RUNS, "deployed": "2.4.0", "healthy": False}, "refuse"),
        ({"begun": OTHER, "installed": WANTED, **RUNS, "deployed": "2.4.0"}, "refuse"),
        ({"begun": WANTED, "installed": WANTED, "data": True}, "refuse"),
    ],
)  # fmt: skip
def test_abctl_is_never_run_on_a_guess(found: dict[str, Any], expected: str) -> None:
    assert word(**found) == expected


def test_a_refusal_says_what_to_do_next() -> None:
    upgrade = decide(Found(wanted=OTHER, installed=WANTED, node="running", healthy=True)).why
    assert upgrade == (
        "Airbyte 2.4.0 is installed and 2.5.0 is described; nothing was changed. Upgrade it, with a backup first:"
        " ./provision.py up ENVIRONMENT --set airbyte.abctl.upgrade=true. Or keep what is there:"
        " airbyte.abctl.chart: 2.4.0 in platform.yml"
    )
    moved = decide(Found(wanted=WANTED, installed={**WANTED, "port": 8010}, node="running", healthy=True)).why
    assert moved.startswith(
        "Airbyte is installed at port 8010 and 8000 is described; abctl keeps a cluster at the port"
    )
    assert "-e airbyte_abctl_state=absent" in moved
    interrupted = decide(Found(wanted=WANTED, begun=WANTED, node="exited")).why
    assert "-e airbyte_abctl_resume=true" in interrupted
    assert "sudo airbyte-abctl uninstall --data" in interrupted


def test_the_clusters_dns_learns_the_machines_name_once() -> None:
    usual = ".:53 {\n    errors\n    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n}\n"
    taught = names.with_name(usual)
    assert taught == (
        ".:53 {\n    errors\n    hosts {\n        10.0.2.2 host.docker.internal\n        fallthrough\n    }\n"
        "    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n}\n"
    )
    assert names.with_name(taught) == taught


def test_a_dns_file_that_is_not_known_is_left_alone() -> None:
    with pytest.raises(SystemExit, match="has no line `forward`"):
        names.with_name(".:53 {\n    errors\n}\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(archive, "FOLDER", tmp_path)
    monkeypatch.setattr(archive, "DOWNLOAD", tmp_path / "download.tar.gz")
    return tmp_path


def packed(folder: Path, *members: str) -> str:
    """An archive with these members, and its checksum."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as one:
        for name in members:
            member = tarfile.TarInfo(name)
            member.size = 4
            one.addfile(member, io.BytesIO(b"abct"))
    (folder / "download.tar.gz").write_bytes(whole.getvalue())
    return hashlib.sha256(whole.getvalue()).hexdigest()


def test_abctl_is_taken_out_of_the_archive_that_was_vouched_for(folder: Path) -> None:
    checksum = packed(folder, "abctl-v0.30.4-linux-amd64/LICENSE", "abctl-v0.30.4-linux-amd64/abctl")
    (folder / "bin/an-older-one").mkdir(parents=True)
    archive.unpack(checksum)
    program = archive.place(checksum)
    assert (program.read_bytes(), program.stat().st_mode & 0o777) == (b"abct", 0o755)
    assert [path.name for path in (folder / "bin").iterdir()] == [checksum[:16]]
    assert not (folder / "download.tar.gz").exists()


def test_nothing_of_another_archive_is_kept(folder: Path) -> None:
    found = packed(folder, "x/abctl")
    with pytest.raises(SystemExit) as refused:
        archive.unpack("b" * 64)
    assert str(refused.value).startswith(f"The archive's checksum is {found}, and {'b' * 64} was described")
    assert list(folder.rglob("*")) == []


@pytest.mark.parametrize("members", [("x/README",), ("x/abctl", "y/abctl"), ()])
def test_an_archive_without_the_program_is_refused(folder: Path, members: tuple[str, ...]) -> None:
    checksum = packed(folder, *members)
    with pytest.raises(SystemExit, match="holds no program abctl"):
        archive.unpack(checksum)
    assert not archive.place(checksum).exists()


def test_what_is_no_archive_is_refused_in_words(folder: Path) -> None:
    (folder / "download.tar.gz").write_bytes(b"<html>")
    with pytest.raises(SystemExit, match="The archive cannot be read"):
        archive.unpack(hashlib.sha256(b"<html>").hexdigest())


ADMINISTRATOR = {"instance-admin-client-id": "admin", "instance-admin-client-secret": "admin-secret"}
PORT, FILTER_PORT = 8000, 8001


class Machine:
    """Airbyte's API and the filter in front of it, as far as tokens go. The filter knows what it read at its start."""

    def __init__(self, state: Path) -> None:
        self.state, self.up = state, True
        self.administrator = dict(ADMINISTRATOR)
        self.read: dict[str, str] = {}
        self.restarts = 0

    def restart(self, argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert argv == ["systemctl", "restart", "airbyte-filter.service"]
        self.restarts += 1
        self.read = {name: (self.state / name).read_text() for name in (credentials.KNOWN, credentials.ASKED)}
        return subprocess.CompletedProcess(argv, 0, "", "")

    def token(self, port: int, identifier: str, secret: str) -> str:
        if port == FILTER_PORT:
            known = hashlib.sha256(f"{identifier}:{secret}".encode()).hexdigest().upper()
            if known not in self.read.get(credentials.KNOWN, "").split("\n"):
                return ""
            asked = json.loads(self.read[credentials.ASKED])
            identifier, secret = asked["client_id"], asked["client_secret"]
        return "token" if [identifier, secret] == list(self.administrator.values()) else ""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "state").mkdir()
    found = Machine(tmp_path / "state")

    class Api:
        def __init__(self, port: int) -> None:
            self.port = port

        def healthy(self) -> bool:
            return found.up

        def token(self, identifier: str, secret: str) -> str:
            return found.token(self.port, identifier, secret)

    monkeypatch.setattr(credentials, "Api", Api)
    monkeypatch.setattr(machine, "STATE", tmp_path / "state")
    monkeypatch.setattr(credentials, "auth_secret", lambda: found.administrator)
    monkeypatch.setattr(credentials.subprocess, "run", found.restart)
    return found


@pytest.fixture
def clients(here: Machine, tmp_path: Path) -> credentials.Clients:
    group = grp.getgrgid(os.getegid()).gr_name
    made = {name: {"folder": str(tmp_path / name), "group": group} for name in ("airflow", "operator")}
    for name in made:
        (tmp_path / name).mkdir()
    return credentials.Clients(made, PORT, FILTER_PORT)


def of_airflow(clients: credentials.Clients) -> list[str]:
    return [place.read_text() for place in clients.places("airflow")]


@needs_root
def test_credentials_are_made_once_and_put_right_when_they_stop_working(
    clients: credentials.Clients, here: Machine
) -> None:
    assert clients.wrong() == ["airflow", "operator"]
    clients.ensure()
    assert clients.wrong() == []
    before = of_airflow(clients)
    clients.ensure()
    assert (of_airflow(clients), here.restarts) == (before, 1)
    here.administrator["instance-admin-client-secret"] = "of a cluster that was made anew"
    assert clients.wrong() == ["airflow", "operator"]
    clients.ensure()
    assert clients.wrong() == []
    assert of_airflow(clients) == before, "Airflow needs no new one for it"


@needs_root
@pytest.mark.parametrize("number", [0, 1], ids=["id", "secret"])
def test_an_empty_file_is_no_credential(clients: credentials.Clients, here: Machine, number: int) -> None:
    """Whoever knows the id would know an empty secret too"""
    clients.ensure()
    place = clients.places("airflow")[number]
    place.chmod(0o640)
    place.write_text("")
    place.chmod(0o440)
    assert clients.wrong() == ["airflow"]
    clients.ensure()
    assert len(place.read_text()) > 16
    assert here.token(FILTER_PORT, *of_airflow(clients)) == "token"
    assert "" not in of_airflow(clients)


@needs_root
def test_airbyte_itself_knows_none_of_the_clients_and_the_filter_keeps_no_secret_of_theirs(
    clients: credentials.Clients, here: Machine
) -> None:
    clients.ensure()
    identifier, secret = of_airflow(clients)
    assert here.token(FILTER_PORT, identifier, secret) == "token"
    assert here.token(PORT, identifier, secret) == ""
    assert here.token(FILTER_PORT, *ADMINISTRATOR.values()) == ""
    assert secret not in "".join(path.read_text() for path in here.state.iterdir())
    assert {path.name: path.stat().st_mode & 0o777 for path in here.state.iterdir()} == {
        credentials.KNOWN: 0o440, credentials.ASKED: 0o440,
    }  # fmt: skip


@needs_root
def test_a_renewed_secret_ends_the_old_one(clients: credentials.Clients, here: Machine) -> None:
    clients.ensure()
    old = of_airflow(clients)
    clients.ensure(renewed="airflow")
    new = of_airflow(clients)
    assert (new[0], new[1] != old[1]) == (old[0], True)
    assert here.token(FILTER_PORT, *old) == ""
    assert here.token(FILTER_PORT, *new) == "token"


class Killed(BaseException):
    """As a kill ends it: nothing of the program runs after it."""


RENEWED = 7  # two files of Airflow's, the mark, two files of the filter's, its restart, the mark again
FIRST = RENEWED + 2  # the operator's before them


@needs_root
@pytest.mark.parametrize(
    ("renewed", "after"),
    [*((False, step) for step in range(FIRST)), *((True, step) for step in range(RENEWED))],
)
def test_a_kill_between_two_steps_leaves_no_old_secret_valid(
    clients: credentials.Clients, here: Machine, monkeypatch: pytest.MonkeyPatch, renewed: bool, after: int
) -> None:
    if renewed:
        clients.ensure()
    old = of_airflow(clients) if renewed else []
    steps = itertools.count()

    def counted(step: Any) -> Any:
        def run(*given: Any, **more: Any) -> Any:
            if next(steps) == after:
                raise Killed
            return step(*given, **more)

        return run

    with monkeypatch.context() as patched:
        for name in ("keep", "write_record", "drop_record"):
            patched.setattr(credentials, name, counted(getattr(credentials, name)))
        patched.setattr(credentials.subprocess, "run", counted(here.restart))
        with pytest.raises(Killed):
            clients.ensure(renewed="airflow" if renewed else "")
    if clients.wrong():  # what the role asks before it calls the program
        clients.ensure()
    assert clients.wrong() == []
    assert here.token(FILTER_PORT, *of_airflow(clients)) == "token"
    if renewed and after > 0:
        assert here.token(FILTER_PORT, *old) == ""
    elif renewed:
        assert of_airflow(clients) == old, "killed before anything of the new one was there"
    assert len(here.read[credentials.KNOWN].split("\n")) == 1


@needs_root
def test_a_filter_that_does_not_start_or_gives_no_token_is_told(
    clients: credentials.Clients, here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 1, "", "Job failed")

    with monkeypatch.context() as patched:
        patched.setattr(credentials.subprocess, "run", fails)
        with pytest.raises(
            SystemExit, match=r"^The filter in front of Airbyte does not start: sudo journalctl"
        ):
            clients.ensure()
    monkeypatch.setattr(here, "token", lambda port, *_: "token" if port == PORT else "")
    with pytest.raises(
        SystemExit, match=r"^No token for airflow: sudo journalctl --unit airbyte-filter\.service$"
    ):
        clients.ensure()


@needs_root
def test_nobody_is_asked_while_airbyte_does_not_answer(clients: credentials.Clients, here: Machine) -> None:
    here.up = False
    with pytest.raises(SystemExit, match="Airbyte does not answer"):
        clients.ensure()


@needs_root
def test_secrets_that_a_person_brings_become_kubernetes_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passed, "FOLDER", tmp_path)
    monkeypatch.setattr(passed, "keep", lambda path, value, group: secret_files.keep(path, value, "root"))
    wanted = {"secrets": {"hangar-database": {"password": "database_password"}}}
    with pytest.raises(SystemExit, match="database_password is not there"):
        passed.write_secret_files(wanted)
    (tmp_path / "database_password").write_text("hunter2\n")
    passed.write_secret_files(wanted)
    made = tmp_path / "hangar-database.json"
    assert '"password": "aHVudGVyMg=="' in made.read_text()
    assert made.stat().st_mode & 0o777 == 0o440
    passed.remove_secret_files(wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["database_password"]


GIVEN = {
    **WANTED,
    "secrets": {"hangar-database": {"password": "database_password"}, "hangar-google": {"key": "key"}},
}


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of secrets as a call leaves it that dies while abctl is at work, on a machine that answers."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(passed, "FOLDER", tmp_path / "secrets")
    for module in (machine, lifecycle):
        monkeypatch.setattr(module, "STATE", tmp_path / "state")
    for name in ("hangar-database.json", "hangar-google.json", "database_password"):
        (tmp_path / "secrets" / name).write_text("hunter2")
    machine.write_record("begun.json", GIVEN)
    monkeypatch.setattr(lifecycle, "deployed", lambda: GIVEN["chart"])
    monkeypatch.setattr(lifecycle, "start", lambda described: None)
    monkeypatch.setattr(names, "teach", lambda: None)
    return tmp_path / "secrets"


def apply(monkeypatch: pytest.MonkeyPatch, **situation: Any) -> None:
    # Nothing is described that needs a secret any more: what the dead call wrote is on its own record.
    found = Found(**{"wanted": {**WANTED, "secrets": {}}, "begun": GIVEN, **RUNS, **situation})
    monkeypatch.setattr(lifecycle, "found", lambda allowed: found)
    lifecycle.apply(frozenset())


def test_the_call_after_one_that_died_takes_its_secrets_away(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(monkeypatch, deployed=GIVEN["chart"])
    assert [path.name for path in left.iterdir()] == ["database_password"]
    assert machine.read_record("installed.json") == GIVEN
    assert (machine.STATE / "installed.json").stat().st_mode & 0o777 == 0o600, (
        "what Helm is given stands in it"
    )


def test_a_refusal_leaves_no_secrets_either(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="was begun and did not come to its end"):
        apply(monkeypatch, healthy=False)
    assert [path.name for path in left.iterdir()] == ["database_password"]


def test_secrets_stay_while_abctl_reads_them_and_go_when_it_has_ended(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def unit(*argv: str, **_: float) -> subprocess.CompletedProcess[str]:
        seen.append(sorted(path.name for path in left.glob("hangar-*")))
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(lifecycle, "as_airbyte", unit)
    apply(monkeypatch, working=True)
    assert seen[-1] == ["hangar-database.json", "hangar-google.json"]
    assert [path.name for path in left.iterdir()] == ["database_password"]


def test_secrets_go_with_the_platform(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        lifecycle, "as_airbyte", lambda *argv, **_: subprocess.CompletedProcess(argv, 0, "", "")
    )
    monkeypatch.setattr(lifecycle, "node", lambda: "absent")
    lifecycle.uninstall(data=False)
    assert [path.name for path in left.iterdir()] == ["database_password"]
    assert machine.read_record("begun.json") is None


FAILING = """
import base64, subprocess, sys
from hangar_abctl import machine
OPERATOR = "operator"
class Clients:
    def __init__(self, *_): pass
    def wrong(self): return []
    def ensure(self):
        {text}
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "machine.fail('Airbyte says: the-secret-of-airbyte is wrong\\x1b[2J!')",
            "Airbyte says: *** is wrong!\n",
        ),
        (
            "raise ValueError('the-secret-of-airbyte')",
            "airbyte-secrets: ValueError: ***\n",
        ),
        (
            "machine.fail(machine.complaint(subprocess.CompletedProcess([], 7, 'c2VjcmV0', '')))",
            "exit 7\n",
        ),
        ("pass", ""),
    ],
)
def test_why_credentials_could_not_be_made_is_told_without_secrets(
    text: str, told: str, tmp_path: Path
) -> None:
    """Ansible hides the task itself, and would hide the reason with it."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/one").write_text("the-secret-of-airbyte\n")
    (tmp_path / "wanted.json").write_text(json.dumps({"port": 1}))
    (tmp_path / "clients.py").write_text(FAILING.format(text=text))
    program = render("airbyte_abctl", "/usr/local/sbin/airbyte-secrets")
    program = program.replace("Masks()", f"Masks({str(tmp_path / 'secrets/*')!r})")
    program = program.replace("hangar_abctl.credentials import", "clients import")
    program = program.replace("from hangar_abctl.machine import wanted", "wanted = lambda: {'port': 1}")
    library = Path(machine.__file__).parents[1], Path(hangar_words.__file__).parent, tmp_path
    done = subprocess.run(
        [sys.executable, "-c", program, "ensure"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": ":".join(map(str, library))},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (1 if told else 0, "", told)
