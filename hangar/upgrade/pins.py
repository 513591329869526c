"""Locks of Python packages, read by the rules of the packages' own specifications (`packaging`)."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from hangar.upgrade.records import Item, Lock, Pins, Service

PIN = re.compile(r"^[A-Za-z0-9][^\s#]*==.*?(?=\s*\\|\s*$)", re.M)
"""The line of a lock that names package, version and marker; its hashes are on the lines that follow."""


def pinned(lock: str) -> Iterator[tuple[str, str, Marker | None]]:
    """Package, version and marker of each pin; a lock for several Pythons may pin a package more than once."""
    for line in PIN.findall(lock):
        with contextlib.suppress(InvalidRequirement):
            wanted = Requirement(line)
            yield str(canonicalize_name(wanted.name)), next(iter(wanted.specifier)).version, wanted.marker


def read(lock: str, on: Mapping[str, str] | None = None) -> dict[str, str]:
    """Package → version of a lock; with `on` (an environment for markers), only what is installed there."""
    return {
        name: version
        for name, version, marker in pinned(lock)
        if on is None or marker is None or marker.evaluate({**on, "extra": ""})
    }


def markers(service: Service) -> dict[str, str]:
    """The environment that markers are judged by, for CPython in a container."""
    python = service.python or "3.13.0"
    return {
        "python_version": ".".join(python.split(".")[:2]), "python_full_version": python,
        "implementation_version": python, "implementation_name": "cpython",
        "platform_python_implementation": "CPython", "sys_platform": "linux", "platform_system": "Linux",
        "os_name": "posix", "platform_machine": service.machine or "x86_64",
    }  # fmt: skip


def merged(locks: Sequence[Lock], on: Mapping[str, str]) -> dict[str, str]:
    """What several locks install into one environment."""
    found: dict[str, str] = {}
    for lock in locks:
        found |= read(lock.text, on)
    return found


def conflicts(locks: Sequence[Lock], on: Mapping[str, str]) -> tuple[str, ...]:
    """Packages that two locks of one environment pin to different versions, in words."""
    if len(locks) < 2:
        return ()
    first, found = read(locks[0].text, on), []
    for lock in locks[1:]:
        found += [
            f"{name}: {first[name]} here, {version} in {lock.name}"
            for name, version in read(lock.text, on).items()
            if first.get(name, version) != version
        ]
    return tuple(sorted(found))


def differences(old: Pins, new: Pins) -> tuple[Item, ...]:
    """What is another version, new or gone."""
    items = (Item(name, old.get(name, ""), new.get(name, "")) for name in sorted({*old, *new}))
    return tuple(item for item in items if not _is_same(item))


def _is_same(item: Item) -> bool:
    """A package may write its version in another way than its file's name does: 1.2 and 1.2.0 are one."""
    return bool(item.old and item.new) and Version(item.old) == Version(item.new)


def is_older(new: str, old: str) -> bool:
    """Whether `new` is the earlier version of the two."""
    return Version(new) < Version(old)


def is_minor(old: str, new: str) -> bool:
    """Whether more than a patch lies between them."""
    return Version(old).release[:2] != Version(new).release[:2]


def allows(demand: str, airflow: str) -> bool:
    """Whether a requirement such as `apache-airflow>=2.11` is content with that version."""
    return Requirement(demand).specifier.contains(airflow, prereleases=True)
