"""The machine's side of people: applied by one role, or at once by its program; proven by login attempts."""

from collections.abc import Callable
from typing import Any

from hangar import playbook
from hangar.config import Config
from hangar.config.people import Person
from hangar.errors import HangarError, MachineUnreachable, PromiseBroken
from hangar.ssh import call
from hangar.ssh.admission import is_admitted

BOOK = "people.yml"
REMOVAL_TIMEOUT = 1800.0
"""Seconds for a removal: the access ends in the first few, but a large home takes its time to be packed."""

SHOW_TIMEOUT = 30.0
NO_COMMAND = "people: command not found"
"""sudo's words, whose status is no other than that of a command that failed."""


def apply(config: Config, *, operators: bool, progress: Callable[[playbook.Event], None]) -> None:
    """Brings the accounts to what the settings say; with `operators` also the keys of the operator's account, and an
    admin's share of the machine.
    """
    tags = ["people", *(["ssh_server", "remote_ssh"] if operators else [])]
    playbook.run(config.environment, BOOK, tags=tags, on_event=progress)


def remove(environment: str, name: str) -> dict[str, Any]:
    """Ends somebody's access on the machine now; the answer says how long it took and where their home went.

    Raises:
        MachineUnreachable: the machine could not be told.
        HangarError: something is left to do on it.
    """
    try:
        done = call.ask(environment, ["people", "remove", name], seconds=REMOVAL_TIMEOUT)
    except MachineUnreachable as error:
        error.resolution = f"{name} stands in platform.yml no more. {error.resolution}"
        raise
    if done.returncode != 0:
        raise HangarError(
            f"The machine has not done all that belongs to the leaving of {name}.",
            done.stderr.strip(),
            f"Mend that, then run the same again: ./provision.py people remove {name} {environment}",
        )
    answer: dict[str, Any] = call.data(environment, done)
    return answer


def show(environment: str) -> dict[str, dict[str, Any]]:
    """What the machine knows of everybody, by name.

    Raises:
        MachineUnreachable: it does not answer.
        HangarError: it cannot say.
    """
    done = call.ask(environment, ["people", "show"], seconds=SHOW_TIMEOUT)
    if done.returncode != 0 and NO_COMMAND in done.stderr:
        return {}  # a machine from before there were people
    if done.returncode != 0:
        raise HangarError(
            f"hangar-{environment} cannot say who is on it.",
            done.stderr.strip(),
            f"See what its own look says: ./provision.py logs people {environment}",
        )
    return {one["name"]: one for one in call.data(environment, done)}


def new_password(environment: str, name: str) -> None:
    """Gives somebody another password for Airflow, made on the machine and shown nowhere.

    Raises:
        HangarError: the machine could not.
    """
    done = call.ask(environment, ["airflow-accounts", "password", name], seconds=SHOW_TIMEOUT)
    if done.returncode != 0:
        raise HangarError(
            f"{name} has the old password for Airflow still.",
            done.stderr.strip(),
            f"Bring the machine to what platform.yml says: ./provision.py up {environment}",
        )


def prove_in(environment: str, person: Person) -> None:
    """Returns when each of the person's keys would be let in.

    Raises:
        PromiseBroken: one would not.
    """
    closed = [key for key in person.keys if not is_admitted(environment, person.name, key)]
    if closed:
        raise PromiseBroken(
            f"The machine does not let {person.name} in.",
            "\n".join(f"* {_short(key)}" for key in closed),
            f"See why: ./provision.py logs ssh {environment}",
        )


def prove_out(environment: str, person: Person, operator: str) -> None:
    """Returns when login attempts with each of the person's keys are refused, as themselves and as the operator.

    Raises:
        PromiseBroken: one would be let in.
    """
    opened = [
        f"* as {account}: {_short(key)}"
        for account in (person.name, operator)
        for key in person.keys
        if is_admitted(environment, account, key)
    ]
    if opened:
        raise PromiseBroken(
            f"The machine still lets {person.name} in.",
            "\n".join(opened),
            f"Run: ./provision.py up {environment}",
        )


def _short(key: str) -> str:
    kind, blob, *comment = key.split(None, 2)
    return " ".join([kind, f"{blob[:12]}…{blob[-8:]}", *comment])
