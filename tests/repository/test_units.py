"""Every unit that Hangar writes is confined by systemd, or a reason stands here for what it may do all the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from hangar import services
from tests.matrix import test_kills
from tests.templates.render import render

REPO = Path(__file__).resolve().parents[2]

EVERY = (
    "LockPersonality",
    "NoNewPrivileges",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "SystemCallArchitectures",
)
"""What costs no program of ours anything: everything else depends on what a unit does."""

ROOTLESS = "newuidmap gains the right to map the sub-ids (control system.docker_unit)"
FIRST = "makes the machine's first account, before there is anything to guard"
OPEN: dict[str, dict[str, str]] = {
    "docker.service": dict.fromkeys(EVERY, ROOTLESS),
    "hangar-startup.service": dict.fromkeys(EVERY, FIRST),
    "hangar-announce.service": dict.fromkeys(
        EVERY, "prints host keys on the console of a local virtual machine"
    ),
    "hangar-maintenance.service": {
        "NoNewPrivileges": "makes images as the service users, which needs newuidmap",
        "RestrictNamespaces": "makes images in name spaces of their own",
        "RestrictAddressFamilies": "makes images, whose package manager asks for what it likes",
    },
    "hangar-images.service": {
        "NoNewPrivileges": "makes images as the service users, which needs newuidmap",
        "RestrictNamespaces": "makes images in name spaces of their own",
        "RestrictAddressFamilies": "makes images, whose package manager asks for what it likes",
    },
    "hangar-mounts.service": {
        "RestrictNamespaces": "changes mounts; its rights are three capabilities",
    },
    "hangar-editors.service": {
        "RestrictAddressFamilies": "asks the system's directory for people; it has no network (PrivateNetwork)",
    },
    "hangar-homes.service": {
        "RestrictAddressFamilies": "speaks to the kernel about quotas; it has no network (PrivateNetwork)",
    },
    "airbyte-abctl-install.service": {
        "RestrictNamespaces": "enters the name spaces of its own Docker daemon",
    },
}


def whole(path: Path) -> str:
    """A unit with the parts that it includes."""
    templates = Path(str(path).partition("/templates/")[0], "templates")
    return re.sub(
        r"{% include '(.+?)' %}", lambda match: (templates / match[1]).read_text(), path.read_text()
    )


def units() -> dict[str, str]:
    """Every service that Hangar says how to start, its own and those of others, with its text."""
    found = {}
    for path in [*REPO.glob("roles/*/templates/**/*"), *REPO.glob("templates/**/*.service")]:
        inside = re.search(r"/([\w@.-]+\.service)(\.d/[\w-]+\.conf)?(\.j2)?$", str(path))
        if inside and path.is_file() and re.search(r"^ExecStart=", path.read_text(), re.M):
            found[inside[1]] = whole(path)
    return found


UNITS = units()


def missing(text: str) -> set[str]:
    return {name for name in EVERY if not re.search(rf"^{name}=(?!no$)", text, re.M)}


def test_the_units_are_found() -> None:
    assert {
        "hangar-interlock.service",
        "hangar-people.service",
        "prometheus.service",
        "airbyte-abctl.service",
    } <= set(UNITS)


@pytest.mark.parametrize("name", sorted(UNITS))
def test_a_unit_is_confined_or_says_why_not(name: str) -> None:
    """What is open has its reason, and a reason for what is closed has outlived it."""
    assert missing(UNITS[name]) == set(OPEN.get(name, {}))


def test_a_unit_without_any_of_it_is_noticed() -> None:
    assert missing("[Service]\nExecStart=/bin/true\nNoNewPrivileges=no\n") == set(EVERY)
    assert missing("NoNewPrivileges=yes\n") == set(EVERY) - {"NoNewPrivileges"}


def test_the_log_of_every_unit_is_among_the_logs() -> None:
    """`./provision.py logs` is the one place to read them."""
    shown = {unit for one in services.SERVICES.values() for unit in (*one.units, *one.user_units)}
    started = {
        path.parent.name.removesuffix(".d") for path in REPO.glob("roles/*/templates/**/*.service.d/*")
    }
    assert set(UNITS) - shown == set()
    assert {one for one in started if one.startswith(("google-", "systemd-journal-"))} <= shown


DAEMONS = {name: text for name, text in UNITS.items() if not re.search(r"^Type=oneshot", text, re.M)}
KILLED_ELSEWHERE = {
    "airbyte-filter.service": "comes with Airbyte's platform alone",
    "docker.service": "killed for each service user",
    "hangar-resume.service": "ends by itself",
}
"""Daemons that tests/matrix/test_kills.py does not kill by their name."""


@pytest.mark.parametrize("name", sorted(DAEMONS))
def test_a_daemon_that_is_killed_starts_again(name: str) -> None:
    """Also where it is killed again and again: no limit counts the starts, or each waits too long to reach it."""
    said = dict(re.findall(r"^(Restart|RestartSec|StartLimitIntervalSec)=(\S+)$", DAEMONS[name], re.M))
    assert said["Restart"] in ("always", "on-failure")
    # Systemd gives up after five starts within ten seconds.
    assert said.get("StartLimitIntervalSec") == "0" or int(said["RestartSec"].rstrip("s")) >= 3


def test_every_daemon_is_killed_on_a_machine() -> None:
    killed = {f"{name}.service" for name in test_kills.UNITS}
    assert set(DAEMONS) - killed == set(KILLED_ELSEWHERE)


@pytest.mark.parametrize("user", test_kills.CONTAINERS)
def test_every_container_that_is_killed_starts_again(user: str) -> None:
    where = {"role_path": str(REPO / "roles" / user)}
    found = yaml.safe_load(render(user, f"/srv/{user}/stack/compose.yaml", **where))["services"]
    lasting = {name: one["restart"] for name, one in found.items() if one["restart"] != "no"}
    assert lasting == dict.fromkeys(test_kills.CONTAINERS[user], "on-failure")


def test_no_reason_is_for_a_unit_that_is_not_there() -> None:
    assert set(OPEN) <= set(UNITS)


def test_the_unit_that_cannot_be_confined_is_an_exception_of_the_house() -> None:
    house = yaml.safe_load((REPO / "playbooks/group_vars/all/hardening.yml").read_text())
    assert "system.docker_unit" in {entry["control"] for entry in house["hardening_house_exceptions"]}
