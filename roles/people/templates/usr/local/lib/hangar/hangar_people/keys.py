# Written by Hangar (role people). Changes made here are lost at the next run.
"""The files that sshd reads: one an account, all of them root's."""

from collections.abc import Iterator

from . import facts
from .described import Person, write


def blobs(text: str) -> Iterator[str]:
    """The keys themselves: options before and comments behind do not matter."""
    for line in text.splitlines():
        if not line.startswith("#"):
            yield from (word for word in line.split() if word.startswith("AAAA"))


def give(person: Person) -> None:
    """Let exactly these keys in; one that is taken is taken everywhere."""
    path = facts.KEYS / person.name
    before = path.read_text() if path.exists() else ""
    _take_elsewhere(person.name, set(blobs(before)) - set(blobs(person.key_file())))
    write(path, person.key_file(), 0o644)


def take(name: str) -> None:
    """Remove somebody's keys: first from accounts that they were let into as admin, then their own file."""
    own = facts.KEYS / name
    if own.exists():
        _take_elsewhere(name, set(blobs(own.read_text())))
        own.unlink()


def _take_elsewhere(name: str, lost: set[str]) -> None:
    """Without its last key an account would be closed to everybody who could mend the machine, so that one stays."""
    for path in facts.KEYS.iterdir() if lost else ():
        if path.name == name or not path.is_file():
            continue
        text = path.read_text()
        found = set(blobs(text))
        if found & lost and found - lost:
            kept = [line for line in text.splitlines() if not lost & set(blobs(line))]
            write(path, "".join(f"{line}\n" for line in kept), path.stat().st_mode & 0o777)
