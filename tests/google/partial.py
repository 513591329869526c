"""Partial answers: the `fields` parameter, which every API of Google's takes."""

import re
from typing import Any

from tests.google.errors import GoogleError

Mask = dict[str, "Mask"]
WORD = re.compile(r"[\w*-]+")


def masked(answer: dict[str, Any], fields: str) -> dict[str, Any]:
    """What of an answer `fields` asks for: names, a/b, a(b,c) and *."""
    mask, rest = _read(fields)
    if rest:
        raise GoogleError(400, f"Invalid field selection {fields}", "invalidParameter")
    kept = _cut(answer, mask)
    return kept if isinstance(kept, dict) else {}


def _read(text: str) -> tuple[Mask, str]:
    """A list of fields from the start of the text, and what follows it."""
    mask: Mask = {}
    while True:
        found = WORD.match(text)
        if found is None:
            raise GoogleError(400, f"Invalid field selection {text}", "invalidParameter")
        text, inner = text[found.end() :], {}
        if text.startswith("/"):
            inner, text = _one(text[1:])
        elif text.startswith("("):
            inner, text = _read(text[1:])
            text = text.removeprefix(")")
        mask[found[0]] = inner
        if not text.startswith(","):
            return mask, text
        text = text[1:]


def _one(text: str) -> tuple[Mask, str]:
    """A single field after a slash: the comma that follows belongs to the list outside."""
    found = WORD.match(text)
    if found is None:
        raise GoogleError(400, f"Invalid field selection {text}", "invalidParameter")
    rest = text[found.end() :]
    if rest.startswith("/"):
        inner, rest = _one(rest[1:])
        return {found[0]: inner}, rest
    if rest.startswith("("):
        inner, rest = _read(rest[1:])
        return {found[0]: inner}, rest.removeprefix(")")
    return {found[0]: {}}, rest


def _cut(value: Any, mask: Mask) -> Any:
    if not mask or ("*" in mask and not mask["*"]):
        return value
    if isinstance(value, list):
        return [_cut(item, mask) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _cut(item, mask.get(name, mask.get("*", {})))
        for name, item in value.items()
        if name in mask or "*" in mask
    }
