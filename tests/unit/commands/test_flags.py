"""What a flag of several verbs means is said in the same words by all of them."""

import pytest

from hangar import cli

TAKES = "take the lock that the cloud holds away from whoever has it (after a call that was killed)"
FINDS = "exit 4 when something would change"


def _help(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        cli.main([verb, "--help"])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("verb", "actions"), [
    ("up", ""), ("destroy", ""), ("resize", ""), ("restore", ""), ("rotate", ""), ("start", ""), ("stop", ""),
    ("backup", "restore: "), ("people", "add, remove, expire, key: "), ("snapshot", "create, delete: "),
    ("upgrade", "apply: "),
])  # fmt: skip
def test_every_verb_says_alike_what_breaking_a_lock_is(
    verb: str, actions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"--break-lock {actions}{TAKES}" in _help(verb, capsys)


@pytest.mark.parametrize(("verb", "actions"), [("plan", ""), ("pipelines", "plan: "), ("upgrade", "plan: ")])
def test_every_verb_says_alike_what_the_exit_code_tells(
    verb: str, actions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"--exit-code {actions}{FINDS}" in _help(verb, capsys)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_the_usage_has_one_place_for_the_environment(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _help(verb, capsys).partition("positional arguments:")[0].count("[ENV]") == 1


@pytest.mark.parametrize("verb", ["status", "logs", "ssh", "verify", "cost"])
def test_a_verb_that_changes_nothing_breaks_no_lock(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--break-lock" not in _help(verb, capsys)
