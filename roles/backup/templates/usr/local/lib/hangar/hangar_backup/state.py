# Written by Hangar (role backup). Changes made here are lost at the next run.
"""What this machine remembers of its backups, and what it tells whoever watches it."""

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .described import FIGURES, HOME, Described
from .records import write_whole

STATE = HOME / "state.json"


@dataclass(frozen=True)
class State:
    """`prints` are the parts' fingerprints when `object` was made: part → [fingerprint, object]. `delivered` names
    the objects that the target has taken. `since` is when backups began here and `good` when the last good one ended,
    in seconds since 1970; `problem` says why the last attempt was none. `unfinished` names the backup that is being
    put back: until that is done, the data here are a mixture.
    """

    circumstances: str = ""
    prints: dict[str, list[str]] = field(default_factory=dict)
    delivered: list[str] = field(default_factory=list)
    since: float = 0.0
    good: float = 0.0
    last: str = ""
    problem: str = ""
    unfinished: str = ""


def read(path: Path = STATE) -> State:
    """What is remembered; nothing where the file is torn: then everything is copied again."""
    try:
        return State(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return State()


def write(state: State, path: Path = STATE) -> None:
    write_whole(path, json.dumps(asdict(state), indent=1) + "\n")


def remember(**changes: Any) -> State:
    """What is remembered from now on, with these changes."""
    found = replace(read(), **changes)
    found = found if found.since else replace(found, since=now())
    write(found)
    return found


def tell(described: Described, state: State, figures: Path = FIGURES) -> None:
    """The figures that the alerts BackupOld and BackupFailed look at. Where nothing watches, nothing is told."""
    if not figures.is_dir():
        return
    why = plain(state.problem)
    lines = [
        f"hangar_backup_max_age_seconds {described.max_age_hours * 3600}",
        f'hangar_backup_failed{{why="{why}"}} {int(bool(state.problem))}',
    ]
    if state.since:
        lines.append(f"hangar_backup_since_timestamp_seconds {state.since:.0f}")
    if state.good:
        lines.append(f"hangar_backup_last_success_timestamp_seconds {state.good:.0f}")
    write_whole(figures / "backup.prom", "\n".join([*lines, ""]), 0o644)


def plain(words: str) -> str:
    """Words for an alert. Another host may have chosen some of them, and a chat takes <...>, @ and & for its own."""
    quiet = "".join(letter if letter.isprintable() else " " for letter in words)
    return quiet.translate(str.maketrans('\\"<>@&|`', "/'()????"))[:200]


def now() -> float:
    return time.time()
