# Written by Hangar (role people). Changes made here are lost at the next run.
"""The files that sshd reads: one an account, all of them root's."""

import re
from collections.abc import Iterator

from . import facts, sessions
from .described import Person, write

KEY = re.compile(r'(?:^|\s)(?:sk-)?(?:ssh|ecdsa)-[^\s"]+\s+(AAAA[^\s"]*)')


def blobs(text: str) -> Iterator[str]:
    """The keys themselves, one a line: options before do not matter, nor comments behind, in which somebody may have
    put another's key to have it taken with their own.
    """
    for line in text.split("\n"):  # as sshd does; a comment may hold what else parts lines
        if not line.startswith("#") and (key := KEY.search(line)):
            yield key[1]


def give(person: Person) -> None:
    """Let exactly these keys in; one that is taken is taken everywhere, with the sessions that it opened.

    Raises:
        Refused: such a session does not end; the keys are right all the same.
    """
    path = facts.KEYS / person.name
    before = facts.text(path) if path.exists() else ""
    try:
        _take_elsewhere(person.name, set(blobs(before)) - set(blobs(person.key_file())))
    finally:
        # Last: a call that is killed before begins again.
        write(path, person.key_file(), 0o644)


def take(name: str) -> None:
    """Remove somebody's keys: first from accounts that they were let into as admin, then their own file.

    Raises:
        Refused: a session that one of them opened elsewhere does not end; the keys are gone all the same.
    """
    try:
        take_elsewhere(name)
    finally:
        (facts.KEYS / name).unlink(missing_ok=True)


def take_elsewhere(name: str) -> None:
    """Leave somebody's keys in their own account only, and end what they opened in others.

    Raises:
        Refused: something does not end; the keys are gone all the same.
    """
    own = facts.KEYS / name
    if own.exists():
        _take_elsewhere(name, set(blobs(facts.text(own))))


def _take_elsewhere(name: str, lost: set[str]) -> None:
    """Without its last key an account would be closed to everybody who could mend the machine, so that one stays."""
    if not lost:
        return
    admitted, closed = {}, set()
    for path in facts.KEYS.iterdir():
        if not path.is_file():
            continue
        text = facts.text(path)
        found = set(blobs(text))
        if path.name != name and found & lost and found - lost:
            kept = [line for line in text.split("\n") if not lost & set(blobs(line))]
            write(path, "\n".join(kept), path.stat().st_mode & 0o777)
            found, closed = found - lost, closed | {path.name}
        admitted[path.name] = sessions.fingerprints(found)
    # The person's own account is ended whole, or not at all.
    sessions.end(sessions.fingerprints(lost), admitted, closed)
