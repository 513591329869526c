"""`make outdated`: what is newer than what is pinned here, and what has a known vulnerability."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from packaging.version import Version

from hangar import console
from hangar.errors import HangarError
from hangar.outdated import index, osv, places
from hangar.outdated.osv import Pin, Vulnerability
from hangar.outdated.places import Other, Package

AT_ONCE = 8
"""Questions that an index gets at the same time."""


@dataclass(frozen=True)
class Outdated:
    """What was found. `newer`: pin → the newest version; `vulnerable` is None where OSV could not be asked; `silent`:
    who could not be asked, and why.
    """

    packages: tuple[Package, ...]
    newer: dict[Pin, str] = field(default_factory=dict)
    vulnerable: dict[Pin, tuple[Vulnerability, ...]] | None = None
    others: tuple[Other, ...] = ()
    silent: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Everything could be asked, and nothing has a known vulnerability."""
        return not self.vulnerable and not self.silent


def look(packages: Sequence[Package], others: Sequence[Other], index_at: str, osv_at: str) -> Outdated:
    """Asks the index and OSV. Who does not answer is named, and the rest is told nevertheless."""
    newer, silent = _newer(packages, index_at)
    vulnerable = None
    try:
        vulnerable = osv.known([(one.name, one.version) for one in packages], osv_at)
    except osv.Silent as error:
        silent.append(f"{error.brief} ({error.details})")
    return Outdated(tuple(packages), newer, vulnerable, tuple(others), tuple(silent))


def _newer(packages: Sequence[Package], index_at: str) -> tuple[dict[Pin, str], list[str]]:
    def ask(one: Package) -> str | HangarError:
        try:
            return index.newest(index_at, one.name, one.version, one.python)
        except index.Silent as error:
            return error

    with ThreadPoolExecutor(AT_ONCE) as workers:
        said = list(zip(packages, workers.map(ask, packages), strict=True))
    failed = [answer for _, answer in said if isinstance(answer, HangarError)]
    newer = {
        (one.name, one.version): answer
        for one, answer in said
        if isinstance(answer, str) and Version(answer) != Version(one.version)
    }
    more = f" ({len(failed)} packages)" if len(failed) > 1 else ""
    return newer, [f"{failed[0].brief}{more} ({failed[0].details})"] if failed else []


def show(found: Outdated) -> None:
    """For people: vulnerabilities first."""
    by_pin = {(one.name, one.version): one for one in found.packages}
    if found.vulnerable:
        rows = [
            [f"{pin[0]} {pin[1]}", ", ".join((one.id, *one.aliases)), ", ".join(one.fixed) or "none yet", one.summary,
             ", ".join(by_pin[pin].places)]
            for pin, ones in sorted(found.vulnerable.items()) for one in ones
        ]  # fmt: skip
        console.table(["has a known vulnerability", "which", "fixed in", "what", "pinned in"], rows)
        console.say()
    if found.newer:
        rows = [[name, version, newest, ", ".join(by_pin[name, version].places)]
                for (name, version), newest in sorted(found.newer.items())]  # fmt: skip
        console.table(["package", "pinned", "newest", "pinned in"], rows)
        console.say()
    rows = [[one.name, one.version, one.place, one.look] for one in found.others]
    console.table(["from elsewhere", "pinned", "pinned in", "what is newer"], rows)
    for reason in found.silent:
        console.warn(reason)
    console.say(
        f"Packages: {len(found.packages)}, newer: {len(found.newer)}, "
        f"with a known vulnerability: {'not known' if found.vulnerable is None else len(found.vulnerable)}. "
        "To resolve the locks again: make lock"
    )


def as_data(found: Outdated) -> dict[str, Any]:
    """For programs: a list of packages with all that is known of each; `osv` says whether that was asked."""
    vulnerable = found.vulnerable or {}
    return {
        "packages": [
            {**asdict(one), "newest": found.newer.get((one.name, one.version), one.version),
             "vulnerabilities": [asdict(bad) for bad in vulnerable.get((one.name, one.version), ())]}
            for one in found.packages
        ],
        "others": [asdict(one) for one in found.others],
        "osv": found.vulnerable is not None, "silent": list(found.silent),
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or with --strict 1 where the answer is not complete or not clean."""
    parser = argparse.ArgumentParser(
        prog="python -m hangar.outdated", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON, for a program")
    parser.add_argument(
        "--strict", action="store_true",
        help="exit 1 when something has a known vulnerability, or when somebody could not be asked",
    )  # fmt: skip
    parser.add_argument("--index", metavar="URL", default="", help="the package index (default: pip's own)")
    parser.add_argument("--osv", metavar="URL", default=osv.ADDRESS, help=f"OSV (default: {osv.ADDRESS})")
    parser.add_argument(
        "names", metavar="PACKAGE", nargs="*", help="these alone (default: all that is pinned)"
    )
    args = parser.parse_args(argv)
    console.configure(json=args.json)
    packages = [one for one in places.packages() if not args.names or one.name in args.names]
    found = look(packages, places.others(), args.index or index.address(), args.osv)
    show(found)
    if args.json:
        console.json(as_data(found))
    return 1 if args.strict and not found.is_clean else 0


if __name__ == "__main__":
    sys.exit(main())
