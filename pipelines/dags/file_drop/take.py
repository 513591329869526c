"""What happens to the files of a drop, one after the other."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from file_drop.archive import Limits, opened
from file_drop.feeds import Broken, Feed, feed_of
from file_drop.folders import Claimed, Folders
from file_drop.records import verified
from file_drop.store import load

Session = Callable[[], AbstractContextManager[Any]]
log = logging.getLogger(__name__)


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

    A warehouse that cannot be reached is no fault of a file: it raises, the files stay claimed and the next try
    goes on with them.
    """
    outcomes = [take(folders, claimed, feeds, session, limits) for claimed in folders.left_over()]
    for entry in folders.settled():
        try:
            claimed = folders.claim(entry, limits.packed)
        except FileNotFoundError:
            continue  # whoever dropped it took it back
        except Broken as error:
            outcomes.append(aside(folders, entry, entry.name, str(error)))
        else:
            outcomes.append(take(folders, claimed, feeds, session, limits))
    return [asdict(outcome) for outcome in outcomes]


def take(folders: Folders, claimed: Claimed, feeds: list[Feed], session: Session, limits: Limits) -> Outcome:
    """Verify one file as a whole, load it in one transaction, then put it away."""
    try:
        feed = feed_of(claimed.name, feeds)
        with opened(claimed.path, limits) as (archive, members):
            contents = [verified(archive, member, feed, limits) for member in members]
            with session() as connection:
                rows = load(connection, archive, claimed.name, feed, contents, limits)
    except Broken as error:
        return aside(folders, claimed.path, claimed.name, str(error))
    put = folders.put_away(claimed, feed.name, digest(claimed.path))
    log.info("%s: %s rows into landing.%s", claimed.name, rows, feed.name)
    return Outcome(claimed.name, str(put), feed.name, rows)


def aside(folders: Folders, path: Path, name: str, reason: str) -> Outcome:
    log.warning("%s goes into quarantine: %s", name, reason)
    return Outcome(name, str(folders.set_aside(path, name, reason)), reason=reason)


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
