"""What the machine's own program of people answers, as the controller understands it."""

from __future__ import annotations

import pytest

from hangar import process
from hangar.errors import HangarError, MachineUnreachable
from hangar.people import machine


def answers(monkeypatch: pytest.MonkeyPatch, status: int, stdout: str = "", stderr: str = "") -> None:
    monkeypatch.setattr(
        process, "bounded", lambda argv, **_: process.Completed(tuple(argv), status, stdout, stderr)
    )


@pytest.mark.usefixtures("repo")
def test_a_machine_from_before_there_were_people_knows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, 1, stderr="sudo: people: command not found\n")
    assert machine.show("local") == {}
    answers(monkeypatch, 0, '[{"name": "ana", "left": ""}]')
    assert machine.show("local") == {"ana": {"name": "ana", "left": ""}}


@pytest.mark.usefixtures("repo")
def test_a_machine_that_cannot_say_who_is_there_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is to leave would be called unknown, and everybody not there yet"""
    answers(monkeypatch, 1, stderr="people: [Errno 5] Input/output error: '/srv/people/accounts.json'\n")
    with pytest.raises(HangarError) as refused:
        machine.show("local")
    assert refused.value.brief == "hangar-local cannot say who is on it."
    assert "Input/output error" in str(refused.value.details)
    assert refused.value.resolution == "See what its own look says: ./provision.py logs people local"


@pytest.mark.usefixtures("repo")
def test_a_machine_that_was_not_told_of_a_removal_is_said_to_be_all_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nobody hears of a changed platform.yml who asked for a password."""
    answers(monkeypatch, 255, stderr="ssh: connect to host 10.0.0.2 port 22: No route to host\n")
    with pytest.raises(MachineUnreachable) as refused:
        machine.remove("local", "ana")
    assert refused.value.resolution.startswith("ana stands in platform.yml no more. See whether")
    with pytest.raises(MachineUnreachable) as refused:
        machine.new_password("local", "ana")
    assert refused.value.resolution == "See whether it can be reached: ./provision.py ssh local"
