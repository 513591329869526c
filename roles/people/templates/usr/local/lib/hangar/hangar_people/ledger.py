# Written by Hangar (role people). Changes made here are lost at the next run.
"""Whose number is whose, for ever: it owns files under /srv, which outlives the machine and the person's time on it."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from .described import Refused, today, write

LEDGER = Path("/srv/people/accounts.json")
HOMES = Path("/srv/people/home")

UIDS = range(20_000, 30_000)
"""Above the service users, below systemd's own ranges and the sub-ids of the containers."""


@dataclass(frozen=True)
class Line:
    """`left` is empty while the person is there, or is on the way out."""

    uid: int
    came: str
    left: str = ""


Ledger = dict[str, Line]


def read(path: Path | None = None) -> Ledger:
    """Return everybody who has ever had an account here.

    Raises:
        Refused: it cannot be read as what it is.
    """
    path = path or LEDGER
    if not path.exists():
        return {}
    try:
        return {name: Line(**line) for name, line in json.loads(path.read_text()).items()}
    except (ValueError, TypeError, AttributeError) as problem:
        raise Refused(
            f"{path}, which says whose number is whose, is damaged ({problem}); put it back from a backup, or "
            "remove it: homes and accounts tell most of it"
        ) from None


def note(name: str, uid: int, path: Path | None = None) -> None:
    """Write somebody down before their account is made."""
    found = read(path)
    came = found[name].came if name in found else str(today())
    _save({**found, name: Line(uid, came)}, path)


def note_left(name: str, path: Path | None = None) -> None:
    """Write down that nothing is left to do for somebody who left. The number stays theirs."""
    found = read(path)
    if name in found:
        _save({**found, name: Line(found[name].uid, found[name].came, str(today()))}, path)


def uid_for(name: str, known: Ledger, taken: Collection[int]) -> int:
    """Return the number that the person had, else the one that their name leads to, or the next that is free.

    Raises:
        Refused: none is.
    """
    if name in known:
        return known[name].uid
    home = HOMES / name
    if home.is_dir() and home.stat().st_uid in UIDS:
        return home.stat().st_uid  # a disk whose ledger was lost
    used = {*taken, *(line.uid for line in known.values())}
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    for step in range(len(UIDS)):
        uid = UIDS[(start + step) % len(UIDS)]
        if uid not in used:
            return uid
    raise Refused(f"no number from {UIDS.start} to {UIDS.stop - 1} is free for {name}")


def _save(ledger: Ledger, path: Path | None) -> None:
    text = json.dumps({name: asdict(line) for name, line in sorted(ledger.items())}, indent=1)
    write(path or LEDGER, text + "\n", 0o600)
