"""What DAGs look up by a name of Airflow's own: its variables, which platform.yml describes and the machine keeps in a
file, beside the connections.
"""

import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from hangar.config.connections import in_clear
from hangar.config.fields import all_wrong, empty_if_none

NAME = re.compile(r"[A-Za-z0-9_.-]{1,250}")
"""Airflow's own column for a variable's name takes 250 letters."""

SECRET = re.compile(r"[A-Za-z0-9_]{1,64}")


def _faults(value: Any, at: str) -> list[tuple[str, str, str]]:
    """What neither JSON nor Airflow has a form for."""
    if isinstance(value, list):
        return [fault for number, inner in enumerate(value) for fault in _faults(inner, f"{at}.{number}")]
    if isinstance(value, dict) and set(value) == {"secret"}:
        name = value["secret"]
        is_name = isinstance(name, str) and SECRET.fullmatch(name)
        return [] if is_name else [("is not a secret's name", f"{at}.secret", "letters, digits and _")]
    if isinstance(value, dict):
        return [fault for key, inner in value.items() for fault in _faults(inner, f"{at}.{key}")]
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return []
    return [
        (
            "has no value that a DAG could read",
            at,
            'a text ("" is one) or a number, in quotes where it is a date',
        )
    ]


def check_variables(value: dict[str, Any]) -> dict[str, Any]:
    found = [
        ("is not a variable's name", name, "letters, digits, _, . and -")
        for name in value
        if not NAME.fullmatch(name)
    ]
    found += [fault for name, given in value.items() for fault in _faults(given, name)]
    found += [
        ("a secret in clear has no place in this file", at.removeprefix("."), "{secret: NAME}")
        for at in in_clear(value, "")
    ]
    if found:
        raise all_wrong(found)
    return value


AirflowVariables = Annotated[dict[str, Any], BeforeValidator(empty_if_none), AfterValidator(check_variables)]
