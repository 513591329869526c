"""Somebody leaves: platform.yml first, then the machine, then the proof. Nothing of it is ever taken back."""

from dataclasses import dataclass

from hangar import inventory, paths, pipeline
from hangar import machine as controller
from hangar.cloud import admission, cloud_for
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.config.people import Person
from hangar.config.public_keys import parse as parse_key
from hangar.console import Progress
from hangar.people import edit, machine
from hangar.people.settings import missing, person_of, require_removable, reread, rewrite
from hangar.ssh.keys import public_path, read_public_key


@dataclass(frozen=True)
class Departure:
    """What became of it: `seconds` until the last process was gone, `archive` on the machine. `knew` are the secrets
    that they could read while they were there.
    """

    name: str
    has_machine: bool
    seconds: float = 0.0
    archive: str = ""
    proven: bool = False
    email: str = ""
    knew: str = ""


def knew(config: Config, person: Person | None) -> str:
    """The secrets that somebody could read: root's, or by a DAG what Airflow holds. Nobody can take that back."""
    if person is not None and person.role == "admin":
        return "every secret of the machine"
    if person is not None and person.role == "developer" and config.airflow.live_dags:
        return "what Airflow holds, by a DAG"
    return ""


def is_oneself(config: Config, name: str) -> bool:
    """Whether one of the person's keys is the one that this computer logs in with: Hangar's own, too, is somebody's
    once they have put its public half into their entry.
    """
    person, private = person_of(config, name), controller.private_key(config)
    if person is None or not (private.exists() or public_path(private).exists()):
        return False
    own = parse_key(read_public_key(private)).blob
    return any(parse_key(key).blob == own for key in person.keys)


def remove(config: Config, name: str, progress: Progress) -> Departure:
    """Ends all of it. The same again finishes what was interrupted.

    Raises:
        HangarError: nobody of that name is in platform.yml or on the machine, they are the last admin, or something is
            left to do.
        MachineUnreachable: the machine could not be told; platform.yml is changed.
        PromiseBroken: a login attempt was not refused.
    """
    config, before = reread(config)
    require_removable(config, name)
    person = person_of(config, name)
    server = cloud_for(config).server()
    is_known = person is not None or (server is not None and _is_there(config, name))
    with progress.stage("platform.yml"):
        left = rewrite(config, before, edit.remove(before, name))
    try:
        if not is_known:
            raise missing(config, name)
        return _end(left, name, person, server, progress)
    finally:
        # After the machine was told: whoever removes themselves comes through the same gate. Whatever became of that,
        # the gate shuts, also after a call that was killed here.
        admission.shut(left, progress)


def _end(
    left: Config, name: str, person: Person | None, server: Server | None, progress: Progress
) -> Departure:
    """`left` are the settings without the person."""
    if server is None:
        # What cannot be written anew would let them in again by a plain ansible-playbook.
        paths.hosts_file(left.environment).unlink(missing_ok=True)
        return Departure(name, has_machine=False)
    if not paths.ssh_config(left.environment).exists():
        pipeline.introduce(server, left)
    with progress.stage("Machine"):
        try:
            gone = machine.remove(left.environment, name)
        finally:
            inventory.write_hosts(server, left)
    with progress.stage("Login attempt"):
        _prove(server, person)
    email = (person.email or "") if person else ""
    return Departure(
        name, True, gone["seconds"], gone["archive"], person is not None, email, knew(left, person)
    )


def _prove(server: Server, person: Person | None) -> None:
    """Whoever was not in platform.yml any more has no key that we know, and no account to try."""
    if person is not None:
        machine.prove_out(server.environment, person, server.admin)


def _is_there(config: Config, name: str) -> bool:
    known = machine.show(config.environment) if paths.ssh_config(config.environment).exists() else {}
    return name in known and not known[name]["left"]
