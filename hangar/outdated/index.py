"""What a package index has (PEP 503 and 691), asked where pip would ask: a company's mirror is named there already."""

import html
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from hangar import installers
from hangar.errors import HangarError

PYPI = "https://pypi.org/simple"
JSON = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{JSON}, text/html;q=0.1"
SECONDS = 30.0
LINK = re.compile(r"<a\b([^>]*)>([^<]*)</a>", re.I)
DEMAND = re.compile(r'data-requires-python="([^"]*)"', re.I)


class Silent(HangarError):
    """The index does not answer, or not as one."""


def address() -> str:
    """The index that uv or pip would ask."""
    named = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    return (named or installers.pip_setting("index-url") or PYPI).rstrip("/")


def shown(index: str) -> str:
    """The index without a log-in that may stand in its address."""
    parts = urlsplit(index)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def newest(index: str, name: str, version: str, python: str) -> str:
    """The newest version for that Python, or `version` where none is newer. One that was taken back does not count, nor
    a trial version, unless `version` is one.

    Raises:
        Silent: the index does not answer.
    """
    mine, wants_trials = Version(version), Version(version).is_prerelease
    offered = (one for one, demand in _files(_ask(index, name)) if _runs_on(demand, python))
    found = [one for one in offered if one > mine and (wants_trials or not one.is_prerelease)]
    return str(max(found, default=mine))


def _ask(index: str, name: str) -> requests.Response:
    try:
        answer = requests.get(
            f"{index}/{name}/",
            headers={"Accept": ACCEPT},
            timeout=SECONDS,
            verify=installers.authorities() or True,
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        raise Silent(
            f"{shown(index)} does not say what it has of {name}.", shown_text(str(error), index)
        ) from None
    return answer


def shown_text(text: str, index: str) -> str:
    """A log-in in the index's address stands in no message."""
    login = urlsplit(index).netloc.rpartition("@")[0]
    return text.replace(f"{login}@", "") if login else text


def _files(answer: requests.Response) -> Iterator[tuple[Version, str]]:
    """Version and demanded Python of each file that is offered."""
    if JSON in answer.headers.get("Content-Type", ""):
        listed: list[dict[str, Any]] = answer.json().get("files", [])
        named = [
            (one["filename"], one.get("requires-python") or "") for one in listed if not one.get("yanked")
        ]
    else:
        links = [(said, text) for said, text in LINK.findall(answer.text) if "data-yanked" not in said]
        named = [
            (text.strip(), html.unescape(found[1]) if (found := DEMAND.search(said)) else "")
            for said, text in links
        ]
    for file, demand in named:
        if version := _version(file):
            yield version, demand


def _version(file: str) -> Version | None:
    try:
        if file.endswith(".whl"):
            return parse_wheel_filename(file)[1]
        return parse_sdist_filename(file)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def _runs_on(demand: str, python: str) -> bool:
    try:
        return not demand or SpecifierSet(demand).contains(f"{python}.99")
    except InvalidSpecifier:
        return True
