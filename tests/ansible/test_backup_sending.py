"""How a backup is sent to another host: with one key, to one host, the index last; and what is said where it fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hangar_backup import sending
from hangar_backup.described import Refused

from tests.ansible.backups import FIRST, HOST


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @ Host key verification failed.",
            "its key has changed",
        ),
        ("Host key verification failed.", "its key is not the one that platform.yml names"),
        ("drop@vault: Permission denied (publickey).", "it does not let this machine in"),
        (
            'dest open "/drop/a.age": Permission denied',
            "it lets nothing be written into the folder, or has a file of that name",
        ),
        ('write remote "/drop/a.age": Failure', "it takes no more data; it may be full"),
        ("ssh: connect to host vault port 22: Connection refused", "nothing answers there"),
        ("ssh: connect to host vault port 22: Connection timed out", "it does not answer"),
        ("something new", "something new"),
    ],
)
def test_a_transfer_that_fails_says_why(said: str, told: str) -> None:
    assert sending.reason(said).startswith(told)


def test_a_transfer_that_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "argv", lambda host: ["sleep", "60"])
    monkeypatch.setattr(sending, "HOURS", 0.2 / 3600)
    with pytest.raises(Refused, match=r"vault\.example\.org: it took more than \S+ hours; the way is slow"):
        sending.send(HOST, ["files-1.age"])


def test_the_client_asks_nothing_and_knows_one_host() -> None:
    words = " ".join(sending.argv(replace(HOST, port=2222)))
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "-P 2222"):
        assert option in words
    assert words.endswith("hangar-drop@vault.example.org")


def test_the_index_is_sent_last(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(sending, "run", lambda argv, what, text, timeout: said.append(text))
    sending.send(HOST, ["files-1.age", f"{FIRST}.json"], Path("/spool"))
    assert said == [
        f'put "/spool/files-1.age" "/drop/files-1.age"\nput "/spool/{FIRST}.json" "/drop/{FIRST}.json"\n'
    ]
