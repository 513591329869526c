"""How a checkout stands to the revision that made a machine, asked of a real git."""

import subprocess
from pathlib import Path

import pytest

from hangar import revision


def git(repo: Path, *words: str) -> str:
    who = ["-c", "user.name=one", "-c", "user.email=one@example.org"]
    done = subprocess.run(["git", "-C", str(repo), *who, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(repo: Path, name: str) -> str:
    (repo / name).parent.mkdir(exist_ok=True)
    (repo / name).write_text(name)
    git(repo, "add", name)
    git(repo, "commit", "-q", "-m", name)
    return git(repo, "rev-parse", "--short=12", "HEAD")


@pytest.fixture
def cloned(repo: Path) -> Path:
    """The repository of the tests as one of git's."""
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "commit", "-q", "-m", "first")
    return repo


def test_a_copy_without_git_has_none(repo: Path) -> None:
    assert revision.here() == ""
    assert revision.relation("8f3d2a1b4c5e") == "unknown"


def test_changes_beside_a_commit_are_told(cloned: Path) -> None:
    first = commit(cloned, "roles/one")
    assert revision.here() == first
    (cloned / "roles/two").touch()
    assert revision.here() == f"{first}+"
    assert revision.relation(first) == "newer"
    assert revision.relation(f"{first}+") == "same"


def test_what_makes_no_machine_makes_no_revision(cloned: Path) -> None:
    first = commit(cloned, "roles/one")
    (cloned / "inventory/local/platform.yml").write_text("cloud: vm\n")
    commit(cloned, "docs.md")
    assert revision.here() == first
    assert revision.relation(first) == "same"


def test_newer_older_and_apart(cloned: Path) -> None:
    first, second = commit(cloned, "roles/one"), commit(cloned, "roles/two")
    assert revision.relation(first) == "newer"
    assert revision.relation(second) == "same"
    git(cloned, "checkout", "-q", first)
    assert revision.relation(second) == "older"
    third = commit(cloned, "roles/three")
    assert revision.relation(second) == "apart"
    assert revision.relation(third) == "same"


@pytest.mark.parametrize("other", ["", "000000000000", "not a revision"])
def test_what_git_does_not_know_is_unknown(cloned: Path, other: str) -> None:
    assert revision.relation(other) == "unknown"


def test_a_file_as_a_revision_has_it(cloned: Path) -> None:
    first = commit(cloned, "roles/one")
    (cloned / "roles/one").write_text("changed")
    assert revision.content(first, "roles/one") == "roles/one"
    assert revision.content(f"{first}+", "roles/one") == "roles/one"
    assert revision.content(first, "two") == ""
    assert revision.content("000000000000", "one") is None
    assert revision.content("", "one") is None
