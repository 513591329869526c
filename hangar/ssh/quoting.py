"""Paths as ssh takes them in its settings."""

from pathlib import Path


def quote(path: Path) -> str:
    """In double quotes where it holds blanks or an apostrophe, without a meaning of its own for %."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if any(char.isspace() or char == "'" for char in text) else text


def unquote(text: str) -> Path:
    return Path(text.strip('"').replace("%%", "%"))
