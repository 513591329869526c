"""Secrets are references until the moment of the request, and are taken out of what is answered."""

import hashlib
import hmac
import json
import re
import urllib.parse
from pathlib import Path
from typing import Any

from hangar.airbyte.remote.files import write
from hangar.serving import Refusal

NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


class Secrets:
    """The secrets that may be named, and the ones that were."""

    def __init__(self, folder: Path, named: dict[str, str], key: bytes) -> None:
        self._folder = folder
        self._named = named
        self._key = key
        self._used: dict[str, str] = {}

    def value(self, name: str) -> str | None:
        """What is kept under the name, or None. A trailing newline is the editor's, not the secret's."""
        path = Path(self._named[name]) if name in self._named else self._folder / name
        if not NAME.fullmatch(name) or not path.is_file():
            return None
        found = path.read_text().rstrip("\n")
        if found:
            self._used[name] = found
        return found or None

    def keep(self, name: str, value: str) -> None:
        """Keeps what a person handed in."""
        if name in self._named:
            raise Refusal("kept", f"{name} is made on the machine and kept in {self._named[name]}")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(self._folder / name, value)

    def put_into(self, value: Any, where: str = "") -> Any:
        """The value with the secrets themselves where references stood."""
        if isinstance(value, dict) and set(value) == {"secret"}:
            found = self.value(str(value["secret"]))
            if found is None:
                raise Refusal("secret", where, name=str(value["secret"]))
            return found
        if isinstance(value, dict):
            return {key: self.put_into(inner, f"{where}.{key}".lstrip(".")) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.put_into(inner, f"{where}.{number}") for number, inner in enumerate(value)]
        return value

    def take_out(self, value: Any) -> Any:
        """An answer without the secrets that were put into requests, however it quotes them."""
        if isinstance(value, dict):
            return {key: self.take_out(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.take_out(inner) for inner in value]
        if isinstance(value, str):
            for name, secret in sorted(self._used.items(), key=lambda item: -len(item[1])):
                for shape in {secret, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1]}:
                    value = value.replace(shape, f"(secret {name})")
        return value

    def fingerprint(self, name: str) -> str | None:
        found = self.value(name)
        if found is None:
            return None
        return hmac.new(self._key, f"{name}\0{found}".encode(), hashlib.sha256).hexdigest()
