"""What happens to the files of a drop, one after the other."""

from __future__ import annotations

import errno
import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from file_drop.archive import Limits, opened
from file_drop.feeds import Broken, Feed, feed_of
from file_drop.folders import Claimed, Folders
from file_drop.records import verified
from file_drop.store import load

Session = Callable[[], AbstractContextManager[Any]]
"""Connects to the warehouse when it is called; as a context it commits, or undoes all."""
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
LONGEST = 500  # letters of a reason
log = logging.getLogger(__name__)


class NotNow(Exception):
    """The warehouse or the disk cannot do it at the moment, which is no fault of the file. `outcomes` are those of the
    files before it, which no later try tells of.
    """

    outcomes: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of one file. `rows` are those that came into the warehouse: none where all of it was there."""

    name: str
    put: str
    feed: str = ""
    rows: int = 0
    reason: str = ""


def take_all(folders: Folders, feeds: list[Feed], session: Session, limits: Limits) -> list[dict[str, Any]]:
    """Load every file that is complete; what is broken goes aside and stops no other.

    Raises:
        NotNow: the warehouse cannot be reached, or there is no room. The files stay claimed, the next try goes on
            with them.
    """
    outcomes: list[dict[str, Any]] = []
    folders.forget_halves()
    try:
        for claimed in folders.left_over():
            outcomes.append(asdict(take(folders, claimed, feeds, session, limits)))
        for entry in folders.settled():
            try:
                claimed = claim(folders, entry, limits)
            except FileNotFoundError:
                continue  # whoever dropped it took it back
            except Broken as error:
                outcomes.append(asdict(aside(folders, entry, entry.name, str(error))))
            else:
                outcomes.append(asdict(take(folders, claimed, feeds, session, limits)))
    except NotNow as waits:
        waits.outcomes = outcomes
        raise
    return outcomes


def claim(folders: Folders, entry: Path, limits: Limits) -> Claimed:
    """As the folders do; a disk without room for the copy is no fault of the file."""
    try:
        return folders.claim(entry, limits.packed)
    except OSError as error:
        if passes(error):
            raise not_now(entry.name, error) from error
        raise


def take(folders: Folders, claimed: Claimed, feeds: list[Feed], session: Session, limits: Limits) -> Outcome:
    """Verify one file as a whole, load it in one transaction, then put it away.

    What fails otherwise than by a warehouse or a disk that will do better later would fail again: it goes aside too,
    or it would stand before all other files for good.

    Raises:
        NotNow: see `take_all`.
    """
    try:
        feed = feed_of(claimed.name, feeds)
        with opened(claimed.path, limits) as (archive, members):
            contents = [verified(archive, member, feed, limits) for member in members]
            with begun(session, claimed.name) as connection:
                rows = load(connection, archive, claimed.name, feed, contents, limits)
    except NotNow:
        raise
    except Broken as error:
        return aside(folders, claimed.path, claimed.name, str(error))
    except Exception as error:
        if passes(error):
            raise not_now(claimed.name, error) from error
        log.exception("%s", claimed.name)
        return aside(folders, claimed.path, claimed.name, unforeseen(error))
    put = folders.put_away(claimed, feed.name, digest(claimed.path))
    log.info("%s: %s rows into landing.%s", claimed.name, rows, feed.name)
    return Outcome(printable(claimed.name), str(put), feed.name, rows)


def begun(session: Session, name: str) -> AbstractContextManager[Any]:
    try:
        return session()
    except Exception as error:  # whatever it is, the file was not looked at
        raise not_now(name, error) from error


def not_now(name: str, error: Exception) -> NotNow:
    said = " ".join(str(error).split()) or type(error).__name__
    return NotNow(
        f"{name} was not loaded yet, for no fault of its own ({said}). It stays where it is, and the next try takes it."
    )


def passes(error: Exception) -> bool:
    """Whether the same file may load later: a connection that broke, a server that stopped, a disk that is full."""
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    if isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith("54"):
        return False  # larger than Postgres can ever take
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def unforeseen(error: Exception) -> str:
    """The warehouse's own sentence and the row, without what stands in it; of anything else its name too."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        where = (error.diag.context or "").partition(":")[0]
        return f"the warehouse refuses it: {error.diag.message_primary}{where and f' ({where})'}"
    return f"it cannot be taken: {type(error).__name__}: {error}"


def aside(folders: Folders, path: Path, name: str, reason: str) -> Outcome:
    """Names and reasons repeat what is in the file: nothing goes on that a log, a message or JSON cannot hold."""
    reason = printable(reason)
    reason = reason if len(reason) <= LONGEST else f"{reason[:LONGEST]}…"
    log.warning("%s goes into quarantine: %s", printable(name), reason)
    return Outcome(printable(name), str(folders.set_aside(path, name, reason)), reason=reason)


def printable(text: str) -> str:
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
