"""backup: make, list, try and put back encrypted backups of the machine."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hangar import console
from hangar.commands import _flags
from hangar.errors import HangarError, MachineMissing, PromiseBroken

if TYPE_CHECKING:
    from hangar.backup.folder import Folder
    from hangar.backup.machine import Spool
    from hangar.backup.target import Target
    from hangar.config import Config

ACTIONS = ("now", "list", "verify", "restore", "schedule")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=ACTIONS, nargs="?", default="list", help="what to do (default: list)"
    )
    parser.add_argument(
        "--from", dest="backup", metavar="latest|ID", default="",
        help="which backup to restore (default: latest) or to verify (default: all)",
    )  # fmt: skip
    _flags.break_lock(parser, "restore")


def run(args: argparse.Namespace) -> int:
    from hangar import config
    from hangar.commands._machine import reach

    settings = config.load(args.environment, args.overrides)
    if args.action in ("now", "restore", "schedule"):
        reach(args)
    match args.action:
        case "now":
            _now(settings, as_json=args.json)
        case "list":
            return _list(settings, args)
        case "verify":
            return _verify(settings, args.backup, as_json=args.json)
        case "restore":
            _restore(settings, args.backup or "latest", as_json=args.json, break_lock=args.break_lock)
        case _:
            _schedule(settings, as_json=args.json)
    return 0


def _now(config: "Config", *, as_json: bool) -> None:
    from hangar.backup import work
    from hangar.backup.folder import Folder

    with _at_work(config, "backup now") as progress, progress.stage("Backup"):
        made, gone = work.now(config, progress.report)
    folder = Folder.of(config)
    new = ", ".join(made.new) or "nothing"
    console.say(f"{made.id} is made and tried ({made.seconds:g} s, {_size(made.bytes)}; new: {new}).")
    console.say(f"It is here, encrypted: {_shown(folder)}")
    _warn_of_the_key(config)
    if work.left_out(config, made):
        console.warn(
            "Airbyte's connections and jobs are not in this backup: the machine was configured for another engine, or "
            f"by an earlier Hangar. Bring it up first: ./provision.py up {config.environment}"
        )
    if gone:
        console.say(f"Removed, as backup.keep says: {', '.join(gone)}")
    if as_json:
        console.json(
            {"made": made.id, "seconds": made.seconds, "bytes": made.bytes, "new": made.new, "removed": gone}
        )


def _warn_of_the_key(config: "Config") -> None:
    """Backups that nobody can open are none."""
    from hangar import paths
    from hangar.backup import keys
    from hangar.backup.machine import Machine

    theirs, ours = Machine(config.environment).show().recipients, keys.recipients(config)
    if not {" ".join(key.split()[:2]) for key in ours} & {" ".join(key.split()[:2]) for key in theirs}:
        console.warn(
            "This machine encrypts to a key that was made on another computer; "
            f"{'yours does not open its backups' if ours else 'there is none here that opens its backups'}. "
            "Name both in platform.yml: backup.recipients"
        )
    elif not config.backup.recipients:
        console.note(f"{paths.shown(keys.private_key(config))} alone opens it: keep a copy elsewhere.")


def _list(config: "Config", args: argparse.Namespace) -> int:
    """Shows what is known, also where somebody could not be asked; then it ends as a failure, since a program would
    take what is lacking for lost.
    """
    from hangar.backup import listing
    from hangar.backup.folder import Folder

    spool, machine_is_asked = _spool(config, args)
    target, target_is_asked = _target(config)
    places = listing.places(Folder.of(config), spool.backups if spool else (), target)
    is_whole = machine_is_asked and target_is_asked
    if args.json:
        console.json([{"id": one.id, "bytes": one.bytes, "seconds": one.seconds, "state": where}
                      for one, where in places])  # fmt: skip
    elif not places and is_whole:
        console.say(f"There is no backup. Make one: ./provision.py backup now {config.environment}")
    elif places:
        rows = [[one.id, f"{one.when:%Y-%m-%d %H:%M} UTC", _size(one.bytes), f"{one.seconds:g} s", where]
                for one, where in places]  # fmt: skip
        console.table(["backup", "made", "size", "took", "where"], rows)
    return 0 if is_whole else 1


def _target(config: "Config") -> "tuple[Target | None, bool]":
    """Where the machine sends them, and whether it hands out what it has."""
    from hangar.backup import target

    there = target.of(config)
    try:
        if there:
            there.sizes()
    except HangarError as error:
        console.note(f"{error.brief} This is what is elsewhere.")
        return None, False
    return there, True


def _verify(config: "Config", wanted: str, *, as_json: bool) -> int:
    from hangar.backup import keys, opening, signers
    from hangar.backup.folder import Folder

    folder = Folder.of(config)
    backups = [folder.require(wanted)] if wanted else folder.backups()
    if not backups:
        folder.require("latest")
    opening.require_age()
    with console.Progress() as progress, progress.stage("Verification"):
        progress.report("decrypt every object")
        trials = opening.try_all(folder, backups, keys.require(config))
    trials += [
        opening.Trial(f"{one.id}.json", signers.FORGED) for one in backups
        if folder.signers.doubt(one) == signers.FORGED
    ]  # fmt: skip
    bad = [trial for trial in trials if trial.problem]
    if unproven := [
        one.id for one in backups if folder.signers.doubt(one) in (signers.UNSIGNED, signers.UNKNOWN)
    ]:
        console.note(f"No key that is known here has signed {', '.join(unproven)}.")
    if as_json:
        console.json({"backups": [one.id for one in backups], "objects": len(trials),
                      "problems": {one.object: one.problem for one in bad}})  # fmt: skip
    if bad:
        broken = PromiseBroken(
            f"{len(bad)} of {len(trials)} objects cannot be read.",
            "\n".join(f"* {one.object}: {one.problem}" for one in bad), opening.cure(bad[0]),
        )  # fmt: skip
        if not as_json:
            raise broken
        console.error(broken)  # for people; a program has its answer already
        return broken.exit_code
    console.say(
        f"Backups: {len(backups)}, objects: {len(trials)}. All are as they were made, and the key opens them."
    )
    return 0


def _restore(config: "Config", wanted: str, *, as_json: bool, break_lock: bool) -> None:
    from hangar.backup import work
    from hangar.cloud import cloud_for

    # A colleague's `up` on another computer must not meet services that are stopped for this.
    alone = cloud_for(config).hold(f"provision.py backup restore {config.environment}", break_lock=break_lock)
    with _at_work(config, "backup restore") as progress, alone:
        with progress.stage("Backup"):
            work.fetch(config, progress.report)
            backup = work.require(config, wanted, progress.report)
        if not console.confirm(
            f"Replace the data of {config.server_name} with those of the backup {backup.id}?"
        ):
            raise HangarError(f"{config.server_name} was left as it is.")
        with progress.stage("Restore"):
            work.put_back(config, backup, progress.report)
    console.say(f"{config.server_name} has the data of {backup.id}.")
    console.say(f"Prove it, and bring it to what platform.yml says: ./provision.py up {config.environment}")
    if as_json:
        console.json({"restored": backup.id})


def _schedule(config: "Config", *, as_json: bool) -> None:
    from hangar.backup import target
    from hangar.backup.machine import Machine
    from hangar.cloud.gcp.names import Names

    machine, there = Machine(config.environment), target.of(config)
    spool = machine.show()
    good = f"{datetime.fromtimestamp(spool.good, UTC):%Y-%m-%d %H:%M} UTC" if spool.good else "never"
    facts = [
        ("when", config.backup.schedule), ("next", _moment(spool.next)), ("last good one", good),
        ("last problem", spool.problem or "none"),
        ("sent to", there.name if there else "nowhere: this computer fetches it"),
    ]  # fmt: skip
    facts.append(("signed by", spool.signer or "nobody"))
    if config.backup.sftp.host:
        facts.append(("the machine's key", machine.public_key()))
    if config.backup.gcs.bucket:
        where = config.gcp
        facts.append(
            ("the machine's account", Names(config.environment, str(where.project), str(where.zone)).email)
        )
    if as_json:
        console.json(dict(facts))
        return
    console.table(["backup", ""], [list(fact) for fact in facts])
    console.say("Another time: backup.schedule in platform.yml.")


def _moment(text: str) -> str:
    """Systemd's "@1764040500" as people read it."""
    seconds = text.removeprefix("@")
    return (
        f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M} UTC"
        if seconds.isdigit()
        else text or "not known"
    )


def _spool(config: "Config", args: argparse.Namespace) -> "tuple[Spool | None, bool]":
    """What the machine has, and whether it could be asked. Where there is none, it has nothing."""
    from hangar.backup.machine import Machine
    from hangar.commands._machine import acquaint

    try:
        acquaint(args, as_operator=True)
        return Machine(config.environment).show(), True
    except MachineMissing:
        return None, True
    except HangarError as error:
        console.note(f"{error.brief} This is what is here.")
        return None, False


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _shown(folder: "Folder") -> str:
    from hangar import paths

    return paths.shown(folder.path)


@contextmanager
def _at_work(config: "Config", words: str) -> "Iterator[console.Progress]":
    from hangar import lock

    with (
        lock.held(config.environment, f"provision.py {words} {config.environment}"),
        console.Progress() as progress,
    ):
        yield progress
