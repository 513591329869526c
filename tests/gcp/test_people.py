"""People and Google's tunnel: one binding, the environment's own, admits exactly who stands in platform.yml."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hangar import cli, config, paths
from hangar.cloud.gcp import admission, policy
from hangar.errors import HangarError
from hangar.plan import Change
from hangar.ssh import keys
from tests.gcp.conftest import Environment
from tests.unit.commands.entries import key as key

NAME = "hangar-production"
STRANGERS = [
    {"role": admission.ROLE, "members": ["group:data@example.org", "user:ana@example.org"]},
    {"role": admission.ROLE, "members": ["user:bo@example.org"],
     "condition": {"title": "office hours", "expression": "request.time.getHours() < 18"}},
]  # fmt: skip


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Plays the machine, which boots nothing here: what it was told, in order."""
    told: list[str] = []

    def remove(environment: str, name: str) -> dict[str, Any]:
        told.append(f"remove {name}")
        return {"seconds": 0.4, "archive": ""}

    def is_in(environment: str, account: str, key: str) -> bool:
        return account in {one.name for one in config.load(environment).people if not one.is_expired}

    monkeypatch.setattr("hangar.people.machine.apply", lambda *_, **__: told.append("apply"))
    monkeypatch.setattr("hangar.people.machine.remove", remove)
    monkeypatch.setattr("hangar.people.machine.show", lambda _: {})
    monkeypatch.setattr("hangar.people.machine.is_admitted", is_in)
    monkeypatch.setattr("hangar.pipeline.introduce", lambda *_: paths.ssh_config("production").touch())
    paths.state_dir("production").mkdir(parents=True)
    keys.ensure_key(paths.default_private_key("production"), "hangar-production")
    return told


def say(*words: str) -> int:
    return cli.main(["people", *words, "--yes"])


def add(name: str, public: Path, *more: str) -> int:
    return say("add", name, "production", "--role", "developer", "--key", str(public), *more)


def bindings(environment: Environment) -> list[dict[str, Any]]:
    (found,) = environment.google.table("iamPolicies").values()
    return [one for one in found["bindings"] if one["role"] == admission.ROLE]


def ours(*emails: str) -> dict[str, Any]:
    return {
        "role": "roles/iap.tunnelResourceAccessor", "members": [f"user:{email}" for email in emails],
        "condition": {
            "title": NAME, "description": "Made by Hangar for the environment production.",
            "expression": "destination.port == 22",
        },
    }  # fmt: skip


def by_hand(environment: Environment, *added: dict[str, Any]) -> None:
    """Somebody else writes the project's policy."""
    policy.change(
        environment.cloud().api, "somebody else",
        lambda found: {**found, "version": 3, "bindings": [*found["bindings"], *added]},
    )  # fmt: skip


def test_the_tunnel_admits_who_comes_and_nobody_who_left(
    environment: Environment,
    machine: list[str],
    key: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment.up()
    by_hand(environment, *STRANGERS)
    assert add("ana", key("ana"), "--email", "Ana@example.org") == 0
    assert add("bo", key("bo"), "--email", "bo@example.org") == 0
    assert bindings(environment) == [*STRANGERS, ours("ana@example.org", "bo@example.org")]
    assert say("remove", "ana", "production") == 0
    assert bindings(environment) == [*STRANGERS, ours("bo@example.org")]
    assert "Google's tunnel admits them no more by the binding that Hangar keeps" in capsys.readouterr().out
    assert say("expire", "bo", "production", "--expires", "today") == 0
    assert bindings(environment) == STRANGERS


def test_somebody_without_an_address_is_told_so(
    environment: Environment,
    machine: list[str],
    key: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment.up()
    assert add("ana", key("ana")) == 0
    assert "They have no address in platform.yml (--email)" in capsys.readouterr().out
    assert bindings(environment) == []


def test_the_next_up_opens_and_shuts_what_a_plan_shows(
    environment: Environment, machine: list[str], key: Callable[[str], Path]
) -> None:
    assert add("ana", key("ana"), "--email", "ana@example.org") == 0  # no machine yet
    assert bindings(environment) == []
    plan = environment.up()
    assert plan.changes[-1] == Change(f"tunnel {NAME}", "create", "ana@example.org")
    assert bindings(environment) == [ours("ana@example.org")]
    assert not environment.plan().has_changes
    by_hand(environment, ours("eve@example.org"))
    plan = environment.up()
    assert [one for one in plan.changes if one.action != "nothing"] == [
        Change(f"tunnel {NAME}", "update", "", (("eve@example.org", "admitted", "none"),))
    ]
    assert bindings(environment) == [ours("ana@example.org")]


def test_the_tunnel_is_shut_though_the_machine_cannot_be_told(
    environment: Environment, machine: list[str], key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.up()
    assert add("ana", key("ana"), "--email", "ana@example.org") == 0

    def fails(environment: str, name: str) -> dict[str, Any]:
        raise HangarError("It does not answer.")

    monkeypatch.setattr("hangar.people.machine.remove", fails)
    assert say("remove", "ana", "production") == 1
    assert bindings(environment) == []


def test_a_day_that_is_today_shuts_the_tunnel_after_the_machine_was_told(
    environment: Environment, machine: list[str], key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ends their own access comes through it; it is shut though the machine cannot be told"""
    environment.up()
    assert add("ana", key("ana"), "--email", "ana@example.org") == 0
    while_told = []

    def fails(*_: Any, **__: Any) -> None:
        while_told.append(bindings(environment))
        raise HangarError("It does not answer.")

    monkeypatch.setattr("hangar.people.machine.apply", fails)
    assert say("expire", "ana", "production", "--expires", "today") == 1
    assert while_told == [[ours("ana@example.org")]]
    assert bindings(environment) == []


def test_a_departure_that_was_killed_before_the_tunnel_is_finished_by_the_same_again(
    environment: Environment, machine: list[str], key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.up()
    assert add("ana", key("ana"), "--email", "ana@example.org") == 0
    with monkeypatch.context() as killed:
        killed.setattr("hangar.cloud.admission.shut", lambda *_: None)
        assert say("remove", "ana", "production") == 0
    assert bindings(environment) == [ours("ana@example.org")]
    assert say("remove", "ana", "production") == 1  # nobody knows them any more
    assert bindings(environment) == []


def test_nobody_comes_or_goes_while_a_colleague_is_at_work(
    environment: Environment,
    machine: list[str],
    key: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On another computer, say: an `up` there would write people, keys and the tunnel from an older file"""
    environment.up()
    assert add("ana", key("ana"), "--email", "ana@example.org") == 0
    before, text = bindings(environment), paths.platform_file("production").read_text()
    machine.clear()
    cloud = environment.cloud()
    with cloud.hold("provision.py up production"):
        for words in (
            ("remove", "ana", "production"),
            ("expire", "ana", "production", "--expires", "2999-01-01"),
            ("key", "ana", "production", "--key", str(key("new"))),
            ("add", "bo", "production", "--role", "viewer", "--key", str(key("bo"))),
        ):
            assert say(*words) == 1, words
            said = capsys.readouterr().err
            assert "Somebody else is at work on the environment production." in said
            assert "provision.py up production" in said
            hint = "To end their access before that: ./provision.py ssh production sudo people remove ana"
            assert (hint in said) is (words[0] == "remove")
        assert (machine, bindings(environment)) == ([], before)
        assert paths.platform_file("production").read_text() == text
        assert say("remove", "ana", "production", "--break-lock") == 0
    assert bindings(environment) == []
    assert environment.google.table("objects") == {}, "each lets its lock go"


def test_somebody_elses_write_in_between_is_not_lost(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.up()
    cloud, read = environment.cloud(), policy.get

    def overtaken(api: Any) -> dict[str, Any]:
        found = read(api)
        monkeypatch.setattr(policy, "get", read)
        by_hand(environment, *STRANGERS)
        return found

    monkeypatch.setattr(policy, "get", overtaken)
    admission.ensure(cloud.api, cloud.names, ["ana@example.org"])
    assert bindings(environment) == [*STRANGERS, ours("ana@example.org")]


def test_destroy_takes_the_binding_along(
    environment: Environment, machine: list[str], key: Callable[[str], Path]
) -> None:
    environment.up()
    by_hand(environment, *STRANGERS)
    assert add("ana", key("ana"), "--email", "ana@example.org") == 0
    cloud = environment.cloud()
    assert f"tunnel {NAME} of ana@example.org" in cloud.removal(with_data=False).goes
    cloud.destroy(environment.said.append, with_data=False)
    assert bindings(environment) == STRANGERS
