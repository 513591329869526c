"""The machine's program `airbyte-secrets` beside Airbyte's platform: who gets a token, and what a kill leaves."""

from __future__ import annotations

import grp
import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hangar_words
import pytest
from hangar_abctl import credentials, machine

from tests.templates.render import render

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")

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
