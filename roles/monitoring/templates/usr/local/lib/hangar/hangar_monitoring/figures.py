# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""Figures as Prometheus reads them, in one file that is replaced as a whole."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

COUNTED = ("_total", "_count", "_sum", "_heartbeat", "_failures", "_successes", "_killed", "_timeouts")
"""How names of what only grows end."""

PLACE = Path("/run/hangar-measure/platform.prom")


class Figure(NamedTuple):
    """One value under a name, with labels."""

    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


def figure(name: str, value: float, /, **labels: str) -> Figure:
    # Who is asked chooses the names; nobody's is longer than this.
    return Figure(name, float(value), tuple(sorted((key, str(said)[:250]) for key, said in labels.items())))


def named(said: object) -> str:
    """A unit's, container's or component's name as its program would let it be. It is told by a service's own user, and
    an alert carries it into a chat, which reads commands, links and names of people in other letters.
    """
    return re.sub(r"[^A-Za-z0-9_.:@\\-]|(?<![A-Za-z0-9_])@", "?", str(said))


def text(figures: Iterable[Figure]) -> str:
    """The exposition format: all values of a name together, as it demands. Of a value given twice the last counts."""
    names: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for one in figures:
        names.setdefault(one.name, {})[one.labels] = one.value
    lines = []
    for name, values in sorted(names.items()):
        lines.append(f"# TYPE {name} {'counter' if name.endswith(COUNTED) else 'gauge'}")
        lines += [f"{name}{_labels(labels)} {value!r}" for labels, value in sorted(values.items())]
    return "\n".join(lines) + "\n"


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels) + "}" if labels else ""


def _escape(value: str) -> str:
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    # Halves of a pair (surrogates) come from JSON, and no file takes them. What steers a terminal is no name.
    return re.sub(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]", "?", escaped)


def write(figures: Iterable[Figure], place: Path = PLACE) -> None:
    """Replace the file; who reads meanwhile gets the old one or the new one."""
    temporary = place.with_name(f".{place.name}.new")
    temporary.write_text(text(figures), encoding="utf-8")
    temporary.replace(place)
