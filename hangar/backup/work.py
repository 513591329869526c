"""What the verbs do, one function each."""

from hangar import console, paths
from hangar.backup import fetching, keys, opening, signers, target
from hangar.backup.folder import Folder
from hangar.backup.host import Host
from hangar.backup.machine import BackupFailed, Machine
from hangar.backup.records import Backup, indexes_of
from hangar.backup.retention import kept
from hangar.config import Config
from hangar.errors import CommandFailed, HangarError, MachineUnreachable

Report = fetching.Report

ENGINES = {"airbyte": "the embedded engine", "abctl": "Airbyte's platform"}
"""What a backup's part is of."""


def now(config: Config, report: Report) -> tuple[Backup, list[str]]:
    """Makes a backup, fetches it and thins out what is old; returns it, and what went.

    Raises:
        BackupFailed: with the reason. What the machine has whole is fetched nevertheless.
        HangarError: it was not fetched, or the host does not let old ones be removed. Where another one was not, it is
            said so.
        MachineUnreachable: the machine does not answer.
    """
    machine, folder = Machine(config.environment), Folder.of(config)
    report("copy, try and encrypt on the machine")
    try:
        machine.make()
    except BackupFailed:
        # What was made and could not be sent on is good, and nowhere else.
        fetch(config, report)
        raise
    made = machine.show().made
    try:
        fetching.from_machine(machine, folder, config, report)
    except MachineUnreachable:
        raise
    except HangarError as problem:
        if not _is_here(folder, made):
            raise
        _warn(problem)
    return _require_here(config, folder, made), thin_out(config, report)


def fetch(config: Config, report: Report) -> None:
    """Brings what the machine has and is not here. What cannot be had is said: another one may do.

    Raises:
        MachineUnreachable: the machine does not answer.
    """
    try:
        fetching.from_machine(Machine(config.environment), Folder.of(config), config, report)
    except MachineUnreachable:
        raise
    except HangarError as problem:
        _warn(problem)


def _warn(problem: HangarError) -> None:
    console.warn(" ".join([problem.brief, *problem.details.splitlines()]))


def _is_here(folder: Folder, identifier: str) -> bool:
    found = folder.find(identifier)
    return found is not None and not folder.missing(found)


def _require_here(config: Config, folder: Folder, made: str) -> Backup:
    """The backup that was just made. Where the machine's clock is wrong it is left there, and an earlier one is not it.

    Raises:
        HangarError: it is not here.
    """
    found = folder.find(made)
    if found and _is_here(folder, made):
        return found
    newest = next((one.id for one in folder.ours()), "none")
    raise HangarError(
        f"The backup {made} is made, and was left on {config.server_name}.", f"* The newest one here: {newest}",
        "Names are moments (UTC). Set the machine's clock where it is wrong; where the newest one here is of days to "
        f"come, move it out of {paths.shown(folder.path)}. Then: ./provision.py backup now {config.environment}",
    )  # fmt: skip


def thin_out(config: Config, report: Report) -> list[str]:
    """Removes here, and at the host, what need not be kept; returns what went. The machine cannot, and a bucket has
    a lifecycle of its own. Nor can it by adding: what came to the host out of its turn makes no other go.
    """
    report("remove what need not be kept")
    folder = Folder.of(config)
    gone = set(folder.keep(kept([one.id for one in folder.ours()], config.backup.keep)))
    if config.backup.sftp.host:
        host = Host(config)
        sizes = host.sizes()
        indexes = host.indexes(indexes_of(sizes))
        # Another checkout's machine may have the same name; its key is another.
        strange = folder.signers.is_strange
        ours = {one.id for one in indexes if one.machine == config.server_name and not strange(one)}
        timely = fetching.in_time(name[:-5] for name in reversed(sizes) if name[:-5] in ours)
        others = {one.id for one in indexes} - set(timely)
        gone |= set(host.keep(kept(timely, config.backup.keep) | others, indexes))
    return sorted(gone)


def places_elsewhere(config: Config) -> list[str]:
    """The settings that name a place for backups outside the environment's own folder. Nobody looks there: a folder's
    disk, a host or a bucket may be out of reach just now.
    """
    wanted = config.backup
    named = {
        "backup.folder": wanted.folder, "backup.sftp": wanted.sftp.host, "backup.gcs": wanted.gcs.bucket,
    }  # fmt: skip
    return [name for name, value in named.items() if value]


def require(config: Config, wanted: str, report: Report) -> Backup:
    """The backup that is to be put back, here and readable; nothing is touched before. What it does not bring back of
    Airbyte's is said.

    Raises:
        HangarError: there is none, it is damaged, or the key here does not open it.
    """
    folder = Folder.of(config)
    if there := target.of(config):
        aside = fetching.from_target(there, folder, wanted, report)
        if aside and not folder.ours():
            raise _unproven(config, there.name, aside)
        if aside:
            console.warn(
                f"Left aside at {there.name}, since no key known here has signed them: {', '.join(aside[:5])}"
            )
    backup = folder.require(wanted)
    _doubt(config, folder, backup, wanted)
    report("see whether the key opens it")
    opening.require_opens(config, folder, backup)
    if said := left_out(config, backup):
        console.warn(said)
    return backup


def _doubt(config: Config, folder: Folder, backup: Backup, wanted: str) -> None:
    """Says what speaks against a backup.

    Raises:
        HangarError: it is not as the machine made it.
    """
    doubt = folder.signers.doubt(backup)
    if doubt == signers.FORGED:
        raise HangarError(
            f"The index of {backup.id} was changed after the machine had signed it.",
            f"* In: {paths.shown(folder.path)}", "Take another: ./provision.py backup list names them",
        )  # fmt: skip
    if doubt:
        console.warn(
            f"Nothing proves that {backup.id} is of {backup.machine}: {doubt}. Whoever can write where it lay may have "
            "made it."
        )
    last = signers.newest(config.environment)
    if wanted == "latest" and last > backup.id:
        console.warn(
            f"{config.server_name} has made {last} since, which is not to be had: {backup.id} is the latest."
        )


def _unproven(config: Config, place: str, aside: list[str]) -> HangarError:
    return HangarError(
        f"Nothing proves that a backup at {place} is of {config.server_name}.",
        "\n".join(f"* {one}: no key that is known here has signed it" for one in aside[:10]),
        "Name the machine's key in platform.yml (backup.signers; `backup schedule` shows it), or take one by its name: "
        f"./provision.py up {config.environment} --restore {aside[0]}",
    )  # fmt: skip


def meet(config: Config) -> None:
    """Learns by which key the machine signs its backups, while there is one to ask: later only they may be left."""
    if config.backup.enabled:
        try:
            Machine(config.environment).show()
        except HangarError as error:
            console.warn(f"The key that proves this machine's backups was not learned: {error.brief}")


def left_out(config: Config, backup: Backup) -> str:
    """What of Airbyte's a restore of this backup does not bring back, in a sentence; "" where it is all of it."""
    if not config.airbyte.enabled:
        return ""
    copied = {part.part for part in backup.parts}
    ours, other = ("abctl", "airbyte") if config.airbyte_engine == "abctl" else ("airbyte", "abctl")
    if ours in copied:
        return ""
    why = f"are of {ENGINES[other]}" if other in copied else "are not in it"
    return (
        f"The backup {backup.id} does not bring back the connections and jobs of {ENGINES[ours]}: Airbyte's {why}. "
        f"Make them anew: ./provision.py pipelines apply {config.environment}"
    )


def put_back(config: Config, backup: Backup, report: Report) -> None:
    """Decrypts here, gives it to the machine, and lets that take it.

    Raises:
        HangarError: a part could not be read or given, or the machine could not take it.
        MachineUnreachable: the machine does not answer.
    """
    machine, folder, key = Machine(config.environment), Folder.of(config), keys.require(config)
    given = {}
    for part in backup.parts:
        report(f"give {part.part} to the machine")
        try:
            source = opening.command(key)
            given[part.part] = machine.give(part.part, source, opening.given(folder, part))
        except CommandFailed as error:
            raise HangarError(
                f"{part.object} could not be given to {machine.name}.", error.details,
                f"Run the same again: ./provision.py backup restore {config.environment} --from {backup.id}",
            ) from error  # fmt: skip
    report("put it back: stop the services, restore, start them again")
    machine.put_back(backup, given)
