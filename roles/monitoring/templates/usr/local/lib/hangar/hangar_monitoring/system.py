# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""What the system's own tools say: failed units, updates, reboots, log-ins, certificates, keys."""

import json
import os
import re
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from .figures import Figure, figure, named
from .run import Unmeasured, answer, as_user

MOST_UNITS = 100
"""Failed units of one manager that are told apart: a service's user may make as many as they like."""

SIGNED = re.compile(r"^Date: (.+)$", re.M)
"""The line of a list's head that says of when it is."""

HEAD = 4096
"""Bytes of such a file that are read."""

FAILED_LOGIN = re.compile(
    r"Failed \w+ for|Invalid user|maximum authentication attempts|"
    r"Connection (closed|reset) by (authenticating|invalid) user|banner exchange: .*invalid format"
)


def units(users: dict[str, int]) -> Iterator[Figure]:
    """Units that have failed, of the system and of each service user's own manager."""
    argv = ["systemctl", "list-units", "--state=failed", "--output=json"]
    managers = [("root", None, argv), *((user, uid, [*argv, "--user"]) for user, uid in users.items())]
    for user, uid, command in managers:
        if uid is not None and not Path(f"/run/user/{uid}").exists():
            yield figure("hangar_unit_failed", 1, user=user, unit=f"user@{uid}.service")
            continue
        found = json.loads(answer(command, uid=uid, env=as_user(uid) if uid is not None else None) or "[]")
        yield figure("hangar_units_failed", len(found), user=user)
        for one in found[:MOST_UNITS]:
            yield figure("hangar_unit_failed", 1, user=user, unit=named(one["unit"]))


def updates() -> Iterator[Figure]:
    """Updates that the package index knows of. Security updates come from a source of that name."""
    without_cache = ["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]
    said = answer(
        ["apt-get", "--simulate", "--quiet", "--quiet", *without_cache, "dist-upgrade"], timeout=120
    )
    found = [line for line in said.splitlines() if line.startswith("Inst ")]
    yield figure("hangar_updates_pending", len(found))
    yield figure(
        "hangar_security_updates_pending", sum("-Security:" in line or "-security" in line for line in found)
    )


def lists(folder: Path = Path("/var/lib/apt/lists")) -> Iterator[Figure]:
    """Of when the newest list of Debian's security updates is that has come here: apt goes on with an old one where it
    gets no other, and what is missing looks like nothing.
    """
    moments = []
    for path in (*folder.glob("*-security_InRelease"), *folder.glob("*-security_Release")):
        with path.open("rb") as stream:
            said = SIGNED.search(stream.read(HEAD).decode(errors="replace"))
        if said:
            moments.append(parsedate_to_datetime(said[1]).timestamp())
    if moments:
        yield figure("hangar_security_list_timestamp_seconds", max(moments))


def reboot() -> Iterator[Figure]:
    """When the machine began, and whether an update waits for a new start: a mark, or a newer kernel on the disk."""
    began = answer(["systemctl", "show", "--property=UserspaceTimestamp", "--timestamp=unix", "--value"])
    yield figure("hangar_started_timestamp_seconds", float(began.strip().removeprefix("@")))
    kernels = {path.name.removeprefix("vmlinuz-") for path in Path("/boot").glob("vmlinuz-*")}
    newer = bool(kernels) and os.uname().release != max(kernels, key=_version)
    yield figure("hangar_reboot_needed", newer or Path("/run/reboot-required").exists())


def images(users: dict[str, int], homes: Path = Path("/srv")) -> Iterator[Figure]:
    """Since when fixes for a service's images are not in what runs, 0 where all are; and whether images that have them
    are there and wait for their containers.
    """
    for user, uid in users.items():
        # As the user: root has no right here to look into what is not its own.
        # Whose images are not Hangar's (Airbyte's platform) has no such folder.
        home = homes / user
        there = ["(", "-path", f"{home}", "-o", "-path", f"{home}/state", "-o", "-path", f"{home}/state/*"]
        there += ["-o", "-prune", "-false", ")"]
        names = ["(", "-name", "images-outdated", "-o", "-name", "stack-changed", ")"]
        # No shell: the profile that confines this program has none (role hardening_system).
        looked = [
            "find",
            f"{homes}",
            "-mindepth",
            "1",
            "-maxdepth",
            "3",
            *there,
            *names,
            "-printf",
            "%f %T@\\n",
        ]
        found = answer(looked, uid=uid)
        marks = {name: float(since) for name, since in (line.split() for line in found.splitlines())}
        since = min(marks.values(), default=0.0)
        yield figure("hangar_images_outdated_since_timestamp_seconds", since, user=user)
        yield figure("hangar_images_waiting", list(marks) == ["stack-changed"], user=user)


def clock() -> Iterator[Figure]:
    """Whether the machine keeps a clock of its own; in a container systemd leaves that to the host."""
    said = answer(["systemctl", "show", "--property=ActiveState", "--value", "systemd-timesyncd.service"])
    yield figure("hangar_clock_kept", said.strip() == "active")


def _version(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.+~-]", name)]


class Logins:
    """Failed log-ins since the program began, read from the journal piece by piece."""

    def __init__(self) -> None:
        self.cursor, self.failed = "", 0

    def measure(self) -> Iterator[Figure]:
        since = ["--after-cursor", self.cursor, "--lines=20000"] if self.cursor else ["--lines=0"]
        said = answer(
            ["journalctl", "--quiet", "--output=cat", "--show-cursor", *since, "_SYSTEMD_UNIT=ssh.service"]
        )
        for line in said.splitlines():
            if line.startswith("-- cursor: "):
                self.cursor = line.removeprefix("-- cursor: ")
            elif FAILED_LOGIN.search(line):
                self.failed += 1
        yield figure("hangar_ssh_failed_logins_total", self.failed)


def certificates(patterns: list[str]) -> Iterator[Figure]:
    """When each certificate ends; of a file with several, the first, which is its owner's. Those that cannot be
    read are named once the others have been.
    """
    strange = []
    for path in sorted({path for one in patterns for path in Path("/").glob(one.lstrip("/"))}):
        try:
            said = answer(["openssl", "x509", "-noout", "-enddate", "-in", str(path)])
            ends = ssl.cert_time_to_seconds(said.strip().removeprefix("notAfter="))
        except (Unmeasured, ValueError) as problem:
            strange.append(f"{path} ({' '.join(str(problem).split())[:100]})")
        else:
            yield figure("hangar_certificate_expires_timestamp_seconds", ends, path=str(path))
    if strange:
        raise Unmeasured(f"no certificate can be read in {', '.join(strange)}")


def keys(people: Path) -> Iterator[Figure]:
    """When each person's key stops opening the machine, for those who have a last day."""
    if not people.exists():
        return
    for one in json.loads(people.read_text(encoding="utf-8"))["people"]:
        if one["expires"]:
            day = datetime.fromisoformat(one["expires"]).replace(tzinfo=UTC)
            yield figure("hangar_key_expires_timestamp_seconds", day.timestamp(), person=one["name"])


def secrets(folder: Path, names: list[str]) -> Iterator[Figure]:
    """Whether the secrets that receivers of alerts need are there."""
    for name in names:
        yield figure("hangar_alert_secret_present", (folder / name).is_file(), secret=name)


def changed(*paths: str) -> float:
    """When one of these was changed last; 0 for none of them."""
    return max((Path(path).stat().st_mtime for path in paths if Path(path).exists()), default=0.0)


class Updates:
    """`updates`, asked only when packages or the index have changed: it costs a second of CPU."""

    def __init__(self) -> None:
        self.seen, self.known = -1.0, ()

    def measure(self) -> Iterator[Figure]:
        stamp = changed("/var/lib/dpkg/status", "/var/lib/apt/lists")
        if stamp != self.seen:
            # Whoever is installing right now is not done yet.
            if self.known and time.time() - stamp < 60:
                yield from self.known
                return
            self.known = tuple(updates())
            self.seen = stamp
        yield from self.known
