# Written by Hangar (role airbyte_abctl). Changes made here are lost at the next run.
"""What is to be done about the platform: decided from what is there, before anything is touched.

`abctl local install` is never run on a guess. It is run on a machine where nothing of Airbyte is, for an upgrade that
somebody allowed, and over an installation that was interrupted once somebody said so.
"""

from dataclasses import dataclass, field
from typing import Any

AGAIN = "./provision.py up"


@dataclass(frozen=True)
class Found:
    """`node` is the state of the cluster's container, `data` whether a database of Airbyte's lies on the disk.
    `deployed` is the chart that answers now, nothing where none is whole. The records say what was asked for:
    `begun` by an installation that has not come to its end, `kept` by one that was removed without its data.
    """

    wanted: dict[str, Any]
    node: str = "absent"
    data: bool = False
    deployed: str = ""
    healthy: bool = False
    working: bool = False
    begun: dict[str, Any] | None = None
    installed: dict[str, Any] | None = None
    kept: dict[str, Any] | None = None
    allowed: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Decision:
    """`word` is install, upgrade, resume, wait, adopt, start, nothing or refuse; `why` is a refusal's sentence."""

    word: str
    why: str = ""


def decide(found: Found) -> Decision:
    if found.working:
        return Decision("wait")
    if found.begun is not None:
        return _interrupted(found, found.begun)
    if found.installed is not None:
        return _installed(found, found.installed)
    if found.node != "absent":
        return Decision(
            "refuse",
            "there is a cluster of abctl's here that Hangar did not install, and it is left alone. Have it removed by"
            " whoever made it (abctl local uninstall), or set airbyte.engine: embedded",
        )
    if found.kept and _older(found.wanted["chart"], found.kept["chart"]):
        return _downgrade(found.kept["chart"], found.wanted["chart"])
    return Decision("install")


def _interrupted(found: Found, begun: dict[str, Any]) -> Decision:
    if found.deployed and found.deployed == begun["chart"] and found.healthy:
        return Decision("adopt")
    if found.node == "absent" and found.installed is None and (not found.data or found.kept):
        return Decision("install")  # it ended before anything of it was there
    if "resume" in found.allowed:
        return Decision("resume")
    return Decision(
        "refuse",
        f"an installation of Airbyte {begun['chart']} was begun and did not come to its end. What it said:"
        " sudo journalctl _SYSTEMD_USER_UNIT=airbyte-abctl-install.service. Go on with it:"
        " ansible-playbook … --tags airbyte -e airbyte_abctl_resume=true. Or begin anew, without its data:"
        " sudo airbyte-abctl uninstall --data",
    )


def _installed(found: Found, installed: dict[str, Any]) -> Decision:
    if found.node == "absent":
        if "resume" in found.allowed:
            return Decision("resume")
        return Decision(
            "refuse",
            f"Airbyte {installed['chart']} was installed here and its cluster is gone; its data lies in"
            " /srv/airbyte/home/.airbyte. Install it over that data again:"
            " ansible-playbook … --tags airbyte -e airbyte_abctl_resume=true",
        )
    if _same(found.wanted, installed):
        return Decision("nothing" if found.node == "running" and found.healthy else "start")
    if _older(found.wanted["chart"], installed["chart"]):
        return _downgrade(installed["chart"], found.wanted["chart"])
    if found.wanted["port"] != installed["port"]:
        return Decision(
            "refuse",
            f"Airbyte is installed at port {installed['port']} and {found.wanted['port']} is described; abctl"
            " keeps a cluster at the port that it was made with. Keep it"
            f" (airbyte.port: {installed['port']}), or take the cluster away, its data stay, and install it anew:"
            f" ansible-playbook … --tags airbyte -e airbyte_abctl_state=absent, then {AGAIN}",
        )
    if "upgrade" in found.allowed:
        return Decision("upgrade")
    return Decision(
        "refuse",
        f"{_difference(found.wanted, installed)}; nothing was changed. Upgrade it, with a backup first:"
        f" {AGAIN} ENVIRONMENT --set airbyte.abctl.upgrade=true. Or keep what is there:"
        f" airbyte.abctl.chart: {installed['chart']} in platform.yml",
    )


def _same(wanted: dict[str, Any], installed: dict[str, Any]) -> bool:
    return all(wanted[name] == installed[name] for name in ("chart", "port", "values", "low_resource"))


def _difference(wanted: dict[str, Any], installed: dict[str, Any]) -> str:
    if wanted["chart"] != installed["chart"]:
        return f"Airbyte {installed['chart']} is installed and {wanted['chart']} is described"
    names = [name for name in ("values", "low_resource") if wanted[name] != installed[name]]
    return f"Airbyte {installed['chart']} is installed with other settings ({', '.join(names)}) than are described"


def _downgrade(has: str, asked: str) -> Decision:
    return Decision(
        "refuse",
        f"the data on this machine is Airbyte {has}'s, and {asked} is older and cannot read it. Describe {has} or newer"
        " (airbyte.abctl.chart)",
    )


def _older(one: str, other: str) -> bool:
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
