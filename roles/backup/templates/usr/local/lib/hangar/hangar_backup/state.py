# Written by Hangar (role backup). Changes made here are lost at the next run.
"""What this machine remembers of its backups, and what it tells whoever watches it."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .described import FIGURES, HOME, Described
from .records import write_whole

STATE = HOME / "state.json"


@dataclass(frozen=True)
class State:
    """`prints` are the parts' fingerprints when `object` was made: part → [fingerprint, object]. `delivered` names
    the objects that the target has taken. `good` is when the last good backup ended, in seconds; `problem` says
    why the last attempt was none.
    """

    circumstances: str = ""
    prints: dict[str, list[str]] = field(default_factory=dict)
    delivered: list[str] = field(default_factory=list)
    good: float = 0.0
    last: str = ""
    problem: str = ""


def read(path: Path = STATE) -> State:
    """What is remembered; nothing where the file is torn: then everything is copied again."""
    try:
        return State(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return State()


def write(state: State, path: Path = STATE) -> None:
    write_whole(path, json.dumps(asdict(state), indent=1) + "\n")


def tell(described: Described, state: State, figures: Path = FIGURES) -> None:
    """The figures that the alerts BackupOld and BackupFailed look at. Where nothing watches, nothing is told."""
    if not figures.is_dir():
        return
    why = state.problem.replace("\\", "/").replace('"', "'").replace("\n", " ")[:200]
    lines = [
        f"hangar_backup_max_age_seconds {described.max_age_hours * 3600}",
        f'hangar_backup_failed{{why="{why}"}} {int(bool(state.problem))}',
    ]
    if state.good:
        lines.append(f"hangar_backup_last_success_timestamp_seconds {state.good:.0f}")
    write_whole(figures / "backup.prom", "\n".join([*lines, ""]), 0o644)


def now() -> float:
    return time.time()
