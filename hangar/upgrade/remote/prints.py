"""Prints of settings: whether two are the same can be told by them, and not what they say."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any


def prints(values: Mapping[str, Any]) -> dict[str, str]:
    """Setting → print; a setting within others by its whole name, with dots. A list counts as one."""
    return dict(_prints(values, ""))


def _prints(values: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _prints(value, f"{place}{name}.")
        else:
            text = json.dumps(value, sort_keys=True)
            yield f"{place}{name}", hashlib.sha256(text.encode()).hexdigest()[:16]
