"""A folder of Airbyte connectors that the embedded engine may run beside its own."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from hangar.config.fields import SentFolder, all_wrong

REGISTRY = "registry.json"
WAYS = ("lock", "manifest", "command")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _allowed(folder: Path) -> Path:
    """The folder, if the engine would start with it (services/airbyte_embedded, connectors.read: the same rules)."""
    path = folder / REGISTRY
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise all_wrong(
            [(f"{path} cannot be read: {error.strerror}", "", f"a folder with a {REGISTRY}")]
        ) from None
    except ValueError as error:
        raise all_wrong(
            [(f"{path} is not JSON: {error}", "", 'names such as {"weather": {"manifest": …}}')]
        ) from None
    if not isinstance(entries, dict):
        raise all_wrong([(f"{path} is no list of names", "", 'names such as {"weather": {"manifest": …}}')])
    if found := [problem for name, entry in entries.items() for problem in _wrong(name, entry, folder)]:
        raise all_wrong(found)
    return folder


def _wrong(name: str, entry: Any, folder: Path) -> Iterator[tuple[str, str, str]]:
    if not NAME.fullmatch(name):
        yield f'"{name}" is no name of a connector', name, "small letters, digits and dashes"
    ways = [way for way in WAYS if way in entry] if isinstance(entry, dict) else []
    if len(ways) != 1 or ("lock" in entry) != ("executable" in entry):
        yield "says not how it is run", name, "exactly one of manifest, command, and lock with executable,"
        return
    if ways == ["command"]:
        if not entry["command"] or not _is_words(entry["command"]):
            yield (
                "is no command",
                f"{name}.command",
                "a list such as [python3, /opt/airbyte/connectors/source.py]",
            )
        return
    file = folder / str(entry[ways[0]])
    if not file.is_file():
        yield f"there is no file {file}", f"{name}.{ways[0]}", "the path of a file in that folder"
    elif folder.resolve() not in file.resolve().parents:
        # Only the folder goes to the machine.
        yield f"{file} is outside of the folder", f"{name}.{ways[0]}", "the path of a file in that folder"


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


Connectors = Annotated[SentFolder, AfterValidator(_allowed)]
