"""Changing `people` in platform.yml: the one change, and every other line and comment as it was."""

import difflib
from datetime import date

import pytest

from hangar import example
from hangar.errors import HangarError
from hangar.people import edit

KEY = "ssh-ed25519 AAAA ana's key: at home # or not"
ANA = {"name": "ana", "role": "developer", "keys": [KEY]}
LIST = """\
# above
people:   # who
  # Data team
  - name: zoe
    role: admin
    keys:   # two
      - ssh-ed25519 AAAB
      - ssh-ed25519 AAAC  # token

  # Guests
  -
    role: viewer
    name: vic
    keys: [ssh-ed25519 AAAD]   # one
    expires: 2027-01-01   # soon

# below
airflow:
  port: 8081  # mine
"""


def change(before: str, after: str) -> list[str]:
    """The lines that went and came."""
    return [
        line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith(("+", "-"))
    ]


ADDED = [
    "+   - name: ana", "+     role: developer", "+     keys:",
    "+       - 'ssh-ed25519 AAAA ana''s key: at home # or not'",
]  # fmt: skip


FLAT = "people:\n- name: zoe\n  role: admin\n  keys:\n  - a\nairflow: {}\n"


@pytest.mark.parametrize("text", [LIST, example.render("local"), FLAT])
def test_somebody_is_added_at_the_end_of_the_list(text: str) -> None:
    found = [line.replace("    - name", "  - name") for line in change(text, edit.add(text, ANA))]
    assert [line.split() for line in found] == [line.split() for line in ADDED]


@pytest.mark.parametrize(
    "text", [LIST, example.render("local"), "people: []\n", "airflow: {port: 8081}\n", ""]
)
def test_adding_and_removing_is_as_if_nothing_had_been(text: str) -> None:
    left = edit.remove(edit.add(text, ANA), "ana")
    assert left.replace("\npeople:", "").replace("people:", "").split() == (
        text.replace("\npeople: []", "")
        .replace("people: []", "")
        .replace("\npeople:", "")
        .replace("people:", "")
        .split()
    )


def test_the_list_in_brackets_stays_in_brackets() -> None:
    text = "people: [{name: zoe, role: admin, keys: [a]}, {name: vic, role: viewer, keys: [b]}] # all\n"
    assert edit.add(text, {**ANA, "keys": ["a b"]}) == text.replace(
        "[b]}]", '[b]}, {name: ana, role: developer, keys: ["a b"]}]'
    )
    assert edit.remove(text, "zoe") == "people: [{name: vic, role: viewer, keys: [b]}] # all\n"
    assert edit.remove(text, "vic") == "people: [{name: zoe, role: admin, keys: [a]}] # all\n"
    assert "keys: [a], expires: 2027-02-03}, {name: vic" in edit.set_expiry(text, "zoe", date(2027, 2, 3))


def test_only_the_lines_of_whoever_leaves_go() -> None:
    assert change(LIST, edit.remove(LIST, "zoe")) == [
        "-   - name: zoe", "-     role: admin", "-     keys:   # two", "-       - ssh-ed25519 AAAB",
        "-       - ssh-ed25519 AAAC  # token",
    ]  # fmt: skip
    assert change(LIST, edit.remove(LIST, "vic")) == [
        "-   -", "-     role: viewer", "-     name: vic", "-     keys: [ssh-ed25519 AAAD]   # one",
        "-     expires: 2027-01-01   # soon",
    ]  # fmt: skip


def test_whoever_is_not_there_changes_nothing() -> None:
    assert edit.remove(LIST, "ana") == LIST
    assert edit.remove("", "ana") == ""


def test_a_day_is_written_changed_and_taken_away() -> None:
    day = date(2027, 2, 3)
    assert change(LIST, edit.set_expiry(LIST, "zoe", day)) == ["+     expires: 2027-02-03"]
    assert change(LIST, edit.set_expiry(LIST, "vic", day)) == [
        "-     expires: 2027-01-01   # soon", "+     expires: 2027-02-03   # soon",
    ]  # fmt: skip
    without = edit.set_expiry(LIST, "vic", None)
    assert "2027" not in without
    assert "name: vic" in without


def test_keys_come_behind_the_others_and_only_the_lines_of_those_that_go_go() -> None:
    assert change(LIST, edit.set_keys(LIST, "zoe", [], [KEY])) == [
        "+       - 'ssh-ed25519 AAAA ana''s key: at home # or not'"
    ]
    assert change(LIST, edit.set_keys(LIST, "zoe", [0], [KEY, "ssh-ed25519 AAAE"])) == [
        "-       - ssh-ed25519 AAAB", "+       - 'ssh-ed25519 AAAA ana''s key: at home # or not'",
        "+       - ssh-ed25519 AAAE",
    ]  # fmt: skip
    assert change(LIST, edit.set_keys(LIST, "zoe", [1], [])) == ["-       - ssh-ed25519 AAAC  # token"]
    assert change(LIST, edit.set_keys(LIST, "vic", [0], [KEY])) == [
        "-     keys: [ssh-ed25519 AAAD]   # one", f'+     keys: ["{KEY}"]   # one',
    ]  # fmt: skip
    assert edit.set_keys(LIST, "zoe", [], []) == LIST


def test_one_key_without_a_list_becomes_one() -> None:
    text = "people:\n- {name: zoe, role: admin, keys: ssh-ed25519 AAAA}\n- name: vic\n  keys: a  # his\n"
    assert 'keys: ["ssh-ed25519 AAAA", "b c"]}' in edit.set_keys(text, "zoe", [], ["b c"])
    assert 'keys: ["b c"]}' in edit.set_keys(text, "zoe", [0], ["b c"])
    assert 'keys: ["a", "b"]  # his' in edit.set_keys(text, "vic", [], ["b"])
    block = "people:\n- name: vic\n  keys: |\n    a\nairflow: {}\n"
    with pytest.raises(HangarError, match="Hangar cannot change by itself"):
        edit.set_keys(block, "vic", [], ["b"])


def test_windows_line_ends_stay() -> None:
    text = LIST.replace("\n", "\r\n")
    for changed in (
        edit.add(text, ANA),
        edit.remove(text, "zoe"),
        edit.set_expiry(text, "zoe", date(2027, 1, 1)),
        edit.set_keys(text, "zoe", [0], [KEY]),
    ):
        assert changed.count("\r\n") == changed.count("\n")


@pytest.mark.parametrize("text", ["base: &b []\npeople: *b\n", "people: 3\n", "people: !!seq []\n"])
def test_what_cannot_be_changed_with_certainty_is_left_alone(text: str) -> None:
    with pytest.raises(HangarError) as refused:
        edit.add(text, ANA)
    assert refused.value == edit.Unchangeable(
        "platform.yml is written in a way that Hangar cannot change by itself; nothing was changed.",
        "* The list `people` uses anchors, tags or a form of its own.",
        "Change it by hand; the next `up` makes it so.",
    )
