"""What the verbs do, one function each."""

from hangar import console
from hangar.backup import fetching, keys, opening, target
from hangar.backup.folder import Folder
from hangar.backup.host import Host
from hangar.backup.machine import BackupFailed, Machine
from hangar.backup.records import Backup, indexes_of
from hangar.backup.retention import kept
from hangar.config import Config
from hangar.errors import CommandFailed, HangarError

Report = fetching.Report

ENGINES = {"airbyte": "the embedded engine", "abctl": "Airbyte's platform"}
"""What a backup's part is of."""


def now(config: Config, report: Report) -> tuple[Backup, list[str]]:
    """Makes a backup, fetches it and thins out what is old; returns it, and what went.

    Raises:
        BackupFailed: with the reason. What the machine has whole is fetched nevertheless.
        HangarError: it was not fetched, or the host does not let old ones be removed.
        MachineUnreachable: the machine does not answer.
    """
    machine, folder = Machine(config.environment), Folder.of(config)
    report("copy, try and encrypt on the machine")
    try:
        machine.make()
    except BackupFailed:
        # What was made and could not be sent on is good, and nowhere else.
        fetching.from_machine(machine, folder, config, report)
        raise
    fetching.from_machine(machine, folder, config, report)
    return folder.backups()[0], thin_out(config, report)


def thin_out(config: Config, report: Report) -> list[str]:
    """Removes here, and at the host, what need not be kept; returns what went. The machine cannot, and a bucket has
    a lifecycle of its own.
    """
    report("remove what need not be kept")
    folder = Folder.of(config)
    gone = set(folder.keep(kept([one.id for one in folder.backups()], config.backup.keep)))
    if config.backup.sftp.host:
        host = Host(config)
        indexes = host.indexes(indexes_of(host.sizes()))
        ours = [one.id for one in indexes if one.machine == config.server_name]
        others = {one.id for one in indexes} - set(ours)
        gone |= set(host.keep(kept(ours, config.backup.keep) | others, indexes))
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
        fetching.from_target(there, folder, wanted, report)
    backup = folder.require(wanted)
    report("see whether the key opens it")
    opening.require_opens(config, folder, backup)
    if said := left_out(config, backup):
        console.warn(said)
    return backup


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
            given[part.part] = machine.give(part.part, opening.command(key, folder.path / part.object))
        except CommandFailed as error:
            raise HangarError(
                f"{part.object} could not be given to {machine.name}.", error.details,
                f"Run the same again: ./provision.py backup restore {config.environment} --from {backup.id}",
            ) from error  # fmt: skip
    report("put it back: stop the services, restore, start them again")
    machine.put_back(backup, given)
