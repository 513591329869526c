"""What guides and alerts tell people to type is a command: its verb, its words and its options exist."""

from __future__ import annotations

import importlib
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hangar import cli

REPO = Path(__file__).resolve().parents[2]
GUIDES = sorted([REPO / "README.md", *REPO.glob("docs/**/*.md"), *REPO.glob("roles/*/README.md")])
WATCHED = REPO / "roles/monitoring/files/watched.yml"


def refusal(call: str) -> str:
    """Why the command line does not take this call; "" where it does."""
    verb, *rest = words(call)
    if verb not in cli.VERBS:
        return f"there is no verb {verb}"
    try:
        cli.parse(verb, importlib.import_module(f"hangar.commands.{verb.replace('-', '_')}"), rest)
    except SystemExit as end:
        return f"{call} is refused" if end.code else ""
    return ""


def words(call: str) -> list[str]:
    """What the shell would hand over: what stands before a comment, a pipe or a redirection."""
    parts = shlex.shlex(call, posix=True, punctuation_chars=True)
    parts.whitespace_split = True
    return list(itertools.takewhile(lambda word: not set(word) <= set("|<>;&"), parts))


def typed(text: str) -> Iterator[str]:
    """Calls that stand by themselves, in blocks of code, and whole ones within a sentence."""
    for number, part in enumerate(re.split(r"^```.*$", text, flags=re.MULTILINE)):
        if number % 2:
            lines = part.replace("\\\n", " ").splitlines()
            found = [line.partition("./provision.py ")[2] for line in lines if "./provision.py " in line]
            # Explanations stand apart, behind more than two blanks.
            yield from (one.split("   ")[0] for one in found if one[:1].isalpha() and one[:4] != "VERB")
        else:
            found = re.findall(r"`\./provision\.py ([^`]+)`", part)
            # A verb alone is a mention; brackets, bars and dots stand for what somebody chooses.
            yield from (one for one in found if " " in one and not re.search(r"[\[|…]|VERB", one))


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: str(path.relative_to(REPO)))
def test_what_a_guide_says_can_be_typed(path: Path) -> None:
    assert [why for call in typed(path.read_text()) if (why := refusal(call))] == []


def test_guides_are_read_at_all() -> None:
    calls = [call for path in GUIDES for call in typed(path.read_text())]
    assert len(calls) > 100
    assert refusal("dags check") == "dags check is refused"
    assert refusal("fly local") == "there is no verb fly"
    assert refusal("ssh local sudo install -m 0440 x") == "ssh local sudo install -m 0440 x is refused"
    assert refusal("ssh local -- sudo install -m 0440 x") == ""


def test_what_an_alert_says_can_be_typed() -> None:
    actions = [one["action"] for one in yaml.safe_load(WATCHED.read_text())["alerts"]]
    calls = [
        call for action in actions for call in re.findall(r"\./provision\.py ([a-z][a-z0-9 -]*)", action)
    ]
    assert len(calls) > 20
    assert [why for call in calls if (why := refusal(call))] == []
