"""Paths as ssh takes them in its settings."""

from pathlib import Path

from hangar.errors import HangarError
from hangar.paths import UNTELLABLE


def quote(path: Path) -> str:
    """In double quotes where it holds blanks or an apostrophe, without a meaning of its own for %.

    Raises:
        HangarError: it cannot be told so.
    """
    text = str(path).replace("%", "%%")
    if UNTELLABLE.intersection(text):
        raise HangarError(f"ssh cannot be told of a path with quotes or line breaks: {text!r}")
    return f'"{text}"' if any(char.isspace() or char == "'" for char in text) else text


def unquote(text: str) -> Path:
    return Path(text.strip('"').replace("%%", "%"))
