# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""The verbs of the program `warehouse`."""

import os
import subprocess
import sys
from collections.abc import Sequence

from . import account, cluster, database, passwords, server
from .described import OWNER, Described, Refused, load


def main(arguments: Sequence[str], usage: str | None) -> None:
    """Run a verb. What a person has to decide ends it with status 1 and a sentence."""
    try:
        _run(list(arguments), usage)
    except Refused as problem:
        sys.exit(f"warehouse: {problem}")
    except subprocess.CalledProcessError as problem:
        sys.exit(f"warehouse: {' '.join(map(str, problem.cmd))} ended with {problem.returncode}")


def _run(arguments: list[str], usage: str | None) -> None:
    if os.geteuid() != 0:
        raise Refused("only root can do this. Try: sudo warehouse " + " ".join(arguments))
    described = load()
    match arguments:
        case ["look"]:
            for line in look(described):
                print(line)
        case ["ensure", "secrets"]:
            passwords.ensure(described)
        case ["ensure"]:
            for line in ensure(described):
                print(line)
        case ["password", role] if role in described.roles:
            database.look(described)  # a server that does not answer refuses before anything is changed
            passwords.renew(described, role)
            database.ensure(described)
        case ["password", role]:
            raise Refused(f"there is no role {role!r}; there are {', '.join(sorted(described.roles))}")
        case ["renew"]:
            server.renew()
        case ["psql", *rest]:
            _become_owner(described)
            argv = [*server.command(described, OWNER), *rest]
            os.execv(argv[0], argv)
        case _:
            sys.exit(usage)


def look(described: Described) -> list[str]:
    """Everything that is to be done, a line each; the first word is what it is about."""
    lines = [] if _is_installed(described.package) else [f"packages {described.package}"]
    lines += [f"account {OWNER} {wrong}" for wrong in account.look(described)]
    missing = cluster.look(described)
    lines += [f"cluster {wrong}" for wrong in missing]
    secret = passwords.look(described)
    lines += [f"secrets {role}" for role in secret]
    if lines and (missing or lines[0].startswith("packages")):
        return [*lines, "server is to be started", "database is to be looked at"]
    stopped = server.look(described)
    lines += [f"server {wrong}" for wrong in stopped]
    if secret or stopped:
        return [*lines, "database is to be looked at"]
    return lines + [f"database: {what}" for what in database.look(described)]


def ensure(described: Described) -> list[str]:
    """Do it, from the account up. Returns what changed in the database."""
    account.ensure(described)
    cluster.ensure(described)
    server.ensure(described)
    return database.ensure(described)


def _is_installed(package: str) -> bool:
    argv = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    return subprocess.run(argv, capture_output=True, text=True).stdout == "installed"


def _become_owner(described: Described) -> None:
    os.chdir("/")
    os.environ["PSQL_HISTORY"] = "/dev/null"
    os.setgroups([])
    os.setgid(described.uid)
    os.setuid(described.uid)
