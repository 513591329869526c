"""Turns what pydantic found into sentences: `path: what is wrong, what would be right`."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hangar.config.public_keys import PRIVATE
from hangar.errors import Problem

KINDS = {
    "int_type": "is not a whole number", "float_type": "is not a number",
    "bool_type": "is neither true nor false", "string_type": "is not a text", "tuple_type": "is not a list",
    "dict_type": "is not a list of keys and values", "model_type": "is not a section",
}  # fmt: skip


def explain(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """One problem for each thing that is wrong, in the order of the settings."""
    return [_problem(one, model) for found in error.errors(include_url=False) for one in _apart(found)]


def _apart(found: ErrorDetails) -> list[ErrorDetails]:
    """A validator of ours may report several wrongs; each becomes one of its own."""
    several = found.get("ctx", {}).get("several")
    if found["type"] != "hangar" or several is None:
        return [found]
    keys = ("what", "at", "right")
    return [{**found, "ctx": dict(zip(keys, wrong, strict=True))} for wrong in several]


def _problem(found: ErrorDetails, model: type[BaseModel]) -> Problem:
    context: Mapping[str, Any] = found.get("ctx", {})
    loc = [str(part) for part in found["loc"] if part != "[key]"]
    if found["type"] == "hangar" and context["at"]:
        loc += context["at"].split(".")
    path = ".".join("…" if PRIVATE.search(part) else part for part in loc)
    if found["type"] == "extra_forbidden":
        return Problem(path, f"there is no such key; {_meant(loc[-1], _keys(model, loc[:-1]), model)}")
    right = context.get("right") or _right(model, loc)
    what = _what(found, context)
    return Problem(path, f"{what}; {right} would be right" if right else what)


def _what(found: ErrorDetails, context: Mapping[str, Any]) -> str:
    kind, value = found["type"], _show(found["input"])
    if kind == "hangar":
        return str(context["what"])
    if kind in KINDS:
        return f"{value} {KINDS[kind]}"
    match kind:
        case "missing":
            return "is missing"
        case "greater_than_equal":
            return f"{value} is too small"
        case "less_than_equal":
            return f"{value} is too large"
        case "literal_error":
            return f"{value} is not known"
        case _:
            return f"{value} does not fit"


def _show(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value) if not isinstance(value, str) else f'"{value}"'
    if PRIVATE.search(text):
        return "a private key (which belongs on its owner's computer alone)"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _meant(key: str, known: list[str], model: type[BaseModel]) -> str:
    """What the writer of an unknown key probably had in mind: a like one beside it, or the same elsewhere
    (a line that slipped to the left, say)."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
    elsewhere = list(_places(model, key))
    if close:
        return f'did you mean "{close[0]}"?'
    if elsewhere:
        return f"did you mean {' or '.join(elsewhere)}?"
    return f"one of {', '.join(known)} would be right"


def _places(model: type[BaseModel], key: str, above: str = "") -> Iterator[str]:
    """Where sections have this key."""
    for name, field in model.model_fields.items():
        if name == key:
            yield f"{above}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _places(field.annotation, key, f"{above}{name}.")


def _right(model: type[BaseModel], loc: list[str]) -> str:
    """What the setting at `loc` (or the nearest one above) says would be right."""
    right = ""
    for field in _fields(model, loc):
        extra = field.json_schema_extra
        if isinstance(extra, dict):
            right = str(extra.get("errorMessage", "")).removesuffix(" would be right")
    return right or ("keys and values below it" if loc else "")


def _keys(model: type[BaseModel], loc: list[str]) -> list[str]:
    inner = model
    for field in _fields(model, loc):
        inner = _model_of(field) or inner
    return [field.alias or name for name, field in inner.model_fields.items()]


def _fields(model: type[BaseModel] | None, loc: list[str]) -> list[FieldInfo]:
    """The settings on the way to `loc`, outermost first."""
    found: list[FieldInfo] = []
    for part in loc:
        fields = {field.alias or name: field for name, field in model.model_fields.items()} if model else {}
        if part in fields:
            found.append(fields[part])
            model = _model_of(fields[part])
    return found


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section inside a setting, be it plain, optional or the value of a dictionary."""
    pending = [field.annotation]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        pending += list(getattr(kind, "__args__", ()))
    return None
