"""The vocabulary of the settings: how one is declared, and the kinds of value that several share."""

import os
import re
import zoneinfo
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from hangar import paths
from hangar.config.public_keys import PRIVATE

PEOPLE = range(20_000, 30_000)
"""The uids of people's accounts (roles/people). What is above may be anybody's: systemd's, a directory's."""

LONGEST_NAME = 255
"""Bytes that the name of one file may have."""

SUBIDS = 65536
"""How many subordinate ids a service user gets: what a container's users need."""


class Section(BaseModel):
    """A section of platform.yml. An empty one (everything in it commented out) means the defaults.

    pydantic's own words repeat nothing of what was given: it may be a private key, pasted by mistake.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any) -> Any:
        return {} if value is None else value


def setting(default: Any, description: str, right: str, **limits: Any) -> Any:
    """Declares a setting. `right` completes the sentence "… would be right" when a value is wrong."""
    extra: JsonDict = {"errorMessage": f"{right} would be right"}
    return Field(default, description=description, json_schema_extra=extra, **limits)


def section(model: type[Section]) -> Any:
    """Declares a section; its class's docstring describes it to editors."""
    return Field(default_factory=model, validate_default=True)


def wrong(what: str, at: str = "", right: str = "") -> PydanticCustomError:
    """A value that is wrong for a reason of our own. `at` leads from the validated value to the culprit;
    `right` stands in for the setting's own.
    """
    return PydanticCustomError("hangar", "{what}", {"what": what, "at": at, "right": right})


def all_wrong(found: Sequence[tuple[str, str, str]]) -> PydanticCustomError:
    """Several of them at once: (what, at, right)."""
    return PydanticCustomError("hangar", "several", {"several": list(found)})


def quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def read_size(value: object) -> int:
    """Bytes, from a number with a unit."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 2**20:
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MiB|GiB|TiB)", str(value))
    if match is None:
        raise wrong(f"{quoted(value)} is not a size")
    return int(float(match[1]) * 2 ** {"MiB": 20, "GiB": 30, "TiB": 40}[match[2]])


def _at_least_4_gib(value: int) -> int:
    if value < 4 * 2**30:
        raise wrong(f"{value / 2**30:.3g} GiB is too small: Airflow alone needs 3 GiB")
    return value


def _time_zone(value: str) -> str:
    known = zoneinfo.available_timezones()
    # A controller without tzdata knows none; then the machine judges.
    if known and value not in known:
        raise wrong(f'"{value}" is not a time zone')
    return value


def _network(value: str) -> str:
    try:
        wide = ip_network(value, strict=False)
    except ValueError:
        raise wrong(f'"{value}" is not a network') from None
    if value not in (str(wide), str(wide.network_address)):
        raise wrong(f'"{value}" names an address inside a network', right=str(wide))
    return str(wide)


def _as_tuple(value: Any) -> Any:
    """YAML knows lists only; one whose entries are all commented out is empty."""
    return () if value is None else tuple(value) if isinstance(value, list) else value


def empty_if_none(value: Any) -> Any:
    """Keys and values that are all commented out are none."""
    return {} if value is None else value


def locate(value: object, info: ValidationInfo) -> Path:
    """A path as written in platform.yml: `~` is the home, anything else starts at the file's folder."""
    if PRIVATE.search(str(value)):
        raise wrong("this is the text of a private key, which belongs into a file of its own")
    if not isinstance(value, str) or not value:
        raise wrong(f"{quoted(value)} is not a path")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(value).parts):
        raise wrong("this is too long for a path")  # it may be a piece of a key, so it is not repeated
    folder: Path = (info.context or {}).get("folder", Path())
    try:
        found = (folder / Path(value).expanduser()).resolve()
    except RuntimeError:
        raise wrong(f"{quoted(value)} begins with the home of somebody who has none here") from None
    if paths.UNTELLABLE.intersection(str(found)):
        raise wrong(
            f"{quoted(value)} leads to a path with quotes or line breaks, of which ssh cannot be told"
        )
    return found


def sent(path: Path, info: ValidationInfo) -> Path:
    """A path whose content goes to the machine: it lies in the checkout, or in the folder of platform.yml where that is
    a link. The file may be a stranger's, and its people read on the machine what it names: keys of the operator's, say.
    Names with a dot in front are Hangar's and git's own keeping (`.hangar` holds the keys of machines).
    """
    folder: Path = (info.context or {}).get("folder", Path())
    for root in (paths.REPO, folder.resolve()):
        if root in path.parents and not any(part.startswith(".") for part in path.relative_to(root).parts):
            return path
    raise wrong(
        f"{path} would go to the machine from outside of this checkout, or from what is hidden in it",
        right=f"a copy of it in {paths.shown(folder)}",
    )


def existing_file(path: Path) -> Path:
    if path.is_dir():
        raise wrong(f"{path} is a folder, not a file")
    if not path.is_file():
        raise wrong(f"there is no file {path}")
    return path


def existing_folder(path: Path) -> Path:
    if not path.is_dir():
        raise wrong(f"there is no folder {path}")
    return path


def check_each(values: Sequence[str], pattern: str, what: str) -> None:
    found = [
        (f'"{value}" is not {what}', str(number), "")
        for number, value in enumerate(values)
        if not re.fullmatch(pattern, value)
    ]
    if found:
        raise all_wrong(found)


_PATH_SCHEMA = WithJsonSchema({"type": "string"})
Size = Annotated[
    int,
    BeforeValidator(read_size),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(MiB|GiB|TiB)$"}),
]
MachineMemory = Annotated[Size, AfterValidator(_at_least_4_gib)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Network = Annotated[str, AfterValidator(_network)]
File = Annotated[Path, BeforeValidator(locate), AfterValidator(existing_file), _PATH_SCHEMA]
SentFile = Annotated[
    Path, BeforeValidator(locate), AfterValidator(sent), AfterValidator(existing_file), _PATH_SCHEMA
]
SentFolder = Annotated[
    Path, BeforeValidator(locate), AfterValidator(sent), AfterValidator(existing_folder), _PATH_SCHEMA
]
Files = Annotated[tuple[File, ...], BeforeValidator(_as_tuple)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_as_tuple)]
Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
