"""Known vulnerabilities, as OSV has them: https://google.github.io/osv.dev/post-v1-querybatch/."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from hangar import installers
from hangar.errors import HangarError

ADDRESS = "https://api.osv.dev"
AT_ONCE = 1000
"""Queries that one call may hold."""

SECONDS = 60.0

Pin = tuple[str, str]
"""Name and version of a package of PyPI's."""


class Silent(HangarError):
    """OSV could not be asked, or its answer is none."""


@dataclass(frozen=True)
class Vulnerability:
    """One that a package has. `aliases` are its names elsewhere (a CVE), `fixed` the versions without it."""

    id: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    fixed: tuple[str, ...] = ()


def known(pins: Iterable[Pin], address: str = ADDRESS) -> dict[Pin, tuple[Vulnerability, ...]]:
    """The vulnerabilities of each pin that has some.

    Raises:
        Silent: with the reason. Then nothing is known of any of them.
    """
    found: dict[Pin, list[str]] = {}
    asked = [(pin, "") for pin in pins]
    while asked:
        now, asked = asked[:AT_ONCE], asked[AT_ONCE:]
        for (pin, _), result in zip(now, _batch(now, address), strict=True):
            found.setdefault(pin, []).extend(one["id"] for one in result.get("vulns", ()))
            if token := result.get("next_page_token"):
                asked.append((pin, token))
    about = {one: _about(one, address) for one in sorted({one for ids in found.values() for one in ids})}
    return {
        pin: tuple(_of(about[one], pin) for one in dict.fromkeys(ids)) for pin, ids in found.items() if ids
    }


def _batch(asked: Sequence[tuple[Pin, str]], address: str) -> list[Mapping[str, Any]]:
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        | ({"page_token": token} if token else {})
        for (name, version), token in asked
    ]
    results = _call("POST", f"{address}/v1/querybatch", {"queries": queries}).get("results")
    if not isinstance(results, list) or len(results) != len(asked):
        raise Silent(f"{address} did not answer as OSV does.", f"{len(asked)} queries have other results")
    return results


def _about(identifier: str, address: str) -> Mapping[str, Any]:
    return _call("GET", f"{address}/v1/vulns/{identifier}", None)


def _of(said: Mapping[str, Any], pin: Pin) -> Vulnerability:
    fixed = [
        event["fixed"]
        for one in said.get("affected", ())
        if one.get("package", {}).get("ecosystem") == "PyPI" and one["package"].get("name", "").lower() == pin[0]
        for kind in one.get("ranges", ()) if kind.get("type") == "ECOSYSTEM"
        for event in kind.get("events", ()) if "fixed" in event
    ]  # fmt: skip
    aliases, summary = tuple(said.get("aliases", ())), str(said.get("summary", ""))
    return Vulnerability(said["id"], aliases, summary, tuple(dict.fromkeys(fixed)))


def _call(method: str, url: str, body: Any) -> Mapping[str, Any]:
    try:
        answer = requests.request(
            method, url, json=body, timeout=SECONDS, verify=installers.authorities() or True
        )
        answer.raise_for_status()
        found: Mapping[str, Any] = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise Silent("OSV could not be asked, so nothing is known of vulnerabilities.", str(error)) from None
    return found
