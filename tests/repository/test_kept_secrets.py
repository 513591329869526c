"""Each folder in which a role keeps secrets is known to those who look for them and to who hides them in logs."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import hangar_words
import pytest

from tests.e2e import plain

REPO = Path(__file__).resolve().parents[2]

FOLDER = re.compile(r"/srv/[a-z_]+/(?:secrets|passwords)\b|/run/hangar-secrets\b")


def folders() -> set[str]:
    """The folders that the roles name in what they write and run."""
    return {
        folder
        for path in REPO.glob("roles/*/*/**/*")
        if path.is_file() and path.parts[-2] != "__pycache__"
        for folder in FOLDER.findall(path.read_text(errors="replace"))
    }


def test_the_folders_are_found() -> None:
    assert {"/srv/airflow/secrets", "/srv/people/passwords", "/run/hangar-secrets"} <= folders()


def test_the_hunt_knows_each_of_them() -> None:
    assert folders() == set(plain.KEPT)


@pytest.mark.parametrize("folder", plain.KEPT)
def test_logs_hide_what_is_in_them(folder: str) -> None:
    assert any(fnmatch(f"{folder}/value", pattern) for pattern in hangar_words.KEPT)
