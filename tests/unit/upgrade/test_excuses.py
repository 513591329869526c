"""A promise that the machine never gave is no excuse."""

from pathlib import Path

import pytest

from hangar import revision
from hangar.upgrade.excuses import is_excused
from hangar.verification import Promise

THERE = "def test_old(host):\n    assert host\n\n\ndef test_other_words(host):\n    assert host\n"
HERE = (
    THERE.replace("words(host):\n    assert host", "words(host):\n    assert not host")
    + "\n\ndef test_new():\n    pass\n"
)


@pytest.mark.parametrize(("there", "test", "excused"), [
    (THERE, "test_old", True),
    (THERE, "test_old[airflow]", True),
    (THERE, "test_other_words", False),
    (THERE, "test_new", False),
    ("", "test_old", False),
    (None, "test_new", True),
])  # fmt: skip
def test_what_is_held_against_an_upgrade(
    repo: Path, monkeypatch: pytest.MonkeyPatch, there: str | None, test: str, excused: bool
) -> None:
    place = repo / "roles/base/tests/test_base.py"
    place.parent.mkdir(parents=True)
    place.write_text(HERE)
    monkeypatch.setattr(
        revision, "content", lambda known, path: {"roles/base/tests/test_base.py": there}[path]
    )
    assert is_excused(Promise("base", "x", "broken", test=test), "aaaa") is excused
