"""Secrets: keys in files of their own, configurations encrypted at rest, masks in what is answered.

A copy of the database is worth nothing without `keys/configuration.key`. Whoever reads the whole data folder
as this account reads everything: the encryption guards copies and backups, not the running machine.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

MASK = "**********"  # Airbyte's own
LINE = 8  # letters from which a line of a longer secret is one by itself: less is a bracket
Config = dict[str, Any]


def ensure_key(path: Path, make: Any) -> bytes:
    """The key in `path`, made on the first call; written whole or not at all, readable by this account alone."""
    if not path.exists():
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    return path.read_bytes()


class Vault:
    """Encrypts and decrypts configurations."""

    def __init__(self, keys: Path) -> None:
        self._fernet = Fernet(ensure_key(keys / "configuration.key", Fernet.generate_key))
        self.token_key = ensure_key(keys / "token.key", lambda: secrets.token_bytes(64))

    def seal(self, configuration: Config) -> bytes:
        return self._fernet.encrypt(json.dumps(configuration).encode())

    def open(self, sealed: bytes) -> Config:
        opened: Config = json.loads(self._fernet.decrypt(sealed))
        return opened


def _parts(schema: Config, key: str) -> Iterator[Config]:
    """Every place where the specification speaks of the property `key`: in all branches of a choice."""
    if isinstance(found := schema.get("properties", {}).get(key), dict):
        yield found
    for word in ("oneOf", "anyOf", "allOf"):
        for branch in schema.get(word, []):
            yield from _parts(branch, key)


def _secret(schemas: list[Config]) -> bool:
    return any(
        schema.get("airbyte_secret") is True
        or any(_secret([branch]) for word in ("oneOf", "anyOf", "allOf") for branch in schema.get(word, []))
        for schema in schemas
    )


def _walk(value: Any, schemas: list[Config], change: Any, old: Any) -> Any:
    """`value` with `change(value, old)` at every secret. A secret in any branch counts: the branch is not known."""
    if _secret(schemas) and not isinstance(value, dict):
        return change(value, old)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        return {
            key: _walk(
                item, [part for schema in schemas for part in _parts(schema, key)], change, before.get(key)
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        inner = [schema["items"] for schema in schemas if isinstance(schema.get("items"), dict)]
        before_items = old if isinstance(old, list) else []
        return [
            _walk(item, inner, change, before_items[number] if number < len(before_items) else None)
            for number, item in enumerate(value)
        ]
    return value


def masked(configuration: Config, specification: Config) -> Config:
    """The configuration as it may be shown: every secret of the specification is the mask."""
    shown: Config = _walk(configuration, [specification], lambda value, _: MASK if value else value, None)
    return shown


def unmasked(configuration: Config, specification: Config, old: Config) -> Config:
    """A configuration that a client sent back: where it kept the mask, the old secret stays."""
    full: Config = _walk(
        configuration,
        [specification],
        lambda value, before: before if value == MASK and before else value,
        old,
    )
    return full


def secret_values(configuration: Config, specification: Config) -> list[str]:
    """Every secret string in the configuration, for keeping it out of logs. Longest first."""
    found: list[str] = []

    def note(value: Any, _: Any) -> Any:
        for item in value if isinstance(value, list) else [value]:
            # a key of several lines is met line by line
            lines = [line.strip() for line in str(item).splitlines()]
            found.extend(
                [str(item), json.dumps(str(item))[1:-1], *(line for line in lines if len(line) >= LINE)]
            )
        return value

    _walk(configuration, [specification], note, None)
    # shorter ones would turn ordinary words into masks
    return sorted({value for value in found if len(value) > 3}, key=len, reverse=True)
