# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""The verbs of the program `monitoring`."""

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence

from . import logs, passwords, prometheus
from .described import ACCOUNT, Refused, load

PACKAGES = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
UNITS = ("hangar-measure.service", *(f"{package}.service" for package in PACKAGES))


def main(arguments: Sequence[str], usage: str | None) -> None:
    """Run a verb. What a person has to decide ends it with status 1 and a sentence."""
    try:
        _run(list(arguments), usage)
    except Refused as problem:
        sys.exit(f"monitoring: {problem}")
    except (KeyboardInterrupt, BrokenPipeError):
        # Whoever read us has seen enough.
        os._exit(0)
    except subprocess.CalledProcessError as problem:
        sys.exit(f"monitoring: {' '.join(map(str, problem.cmd))} ended with {problem.returncode}")


def _run(arguments: list[str], usage: str | None) -> None:
    if os.geteuid() != 0:
        raise Refused("only root can do this. Try: sudo monitoring " + " ".join(arguments))
    match arguments:
        case ["look"]:
            for line in look():
                print(line)
        case ["ensure", "secrets"]:
            passwords.ensure()
        case ["ensure", "units"]:
            subprocess.run(["systemctl", "unmask", *UNITS], check=True, capture_output=True)
            subprocess.run(["systemctl", "enable", "--now", *UNITS], check=True, stderr=subprocess.DEVNULL)
        case ["renew", user]:
            passwords.renew(user)
        case ["set", name]:
            passwords.set_secret(name, sys.stdin.read().strip())
        case ["ask"]:
            print(json.dumps(prometheus.ask(load())))
        case ["logs", asked]:
            logs.read(logs.parse(asked))
        case ["test"]:
            prometheus.raise_by_hand(load())
        case _:
            sys.exit(usage)


def look() -> list[str]:
    """Everything that is to be done, a line each; the first word is what it is about."""
    _check_account(load()["uid"])
    missing = [package for package in PACKAGES if not _is_installed(package)]
    lines = [f"packages {' '.join(missing)}"] if missing else []
    lines += [f"secrets {path}" for path in passwords.look()]
    return lines + [f"units {unit}" for unit in UNITS if missing or not _runs(unit)]


def _check_account(uid: int) -> None:
    """Files under /srv belong to the number, so another one is for a person to decide."""
    try:
        found = pwd.getpwnam(ACCOUNT).pw_uid
    except KeyError:
        raise Refused(f"the account {ACCOUNT} is missing. Make it: systemd-sysusers") from None
    if found != uid:
        raise Refused(
            f"the account {ACCOUNT} has the number {found}, but is to have {uid}. "
            "Choose that one (monitoring_uid), or remove the account by hand."
        )


def _is_installed(package: str) -> bool:
    argv = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    return subprocess.run(argv, capture_output=True, text=True).stdout == "installed"


def _runs(unit: str) -> bool:
    argv = ["systemctl", "show", "--property=UnitFileState,ActiveState", "--value", unit]
    return sorted(subprocess.run(argv, capture_output=True, text=True).stdout.split()) == [
        "active",
        "enabled",
    ]
