"""destroy: remove the machine and everything that belongs to it."""

import argparse
import re
from typing import TYPE_CHECKING

from hangar import console, paths
from hangar.commands import _flags
from hangar.environments import require_name
from hangar.errors import ConfigError, HangarError
from hangar.ports import LOOPBACK
from hangar.ssh import client_config

if TYPE_CHECKING:
    from hangar.config import Config
    from hangar.plan import Removal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with-data", action="store_true",
        help="remove the data disk of a machine in the cloud too (a local machine's data always goes)",
    )  # fmt: skip
    parser.add_argument(
        "--confirm", metavar="ENV", default="",
        help="the environment's name, for a call with --with-data that nobody watches",
    )  # fmt: skip
    _flags.break_lock(parser)


def run(args: argparse.Namespace) -> int:
    from hangar import forgetting, pipeline

    settings, is_unsure = _settings(args)
    name = settings.server_name
    doomed = pipeline.removal(settings, with_data=args.with_data)
    if not _agreed(doomed, args):
        raise HangarError(f"{name} was left as it is.")
    removed = pipeline.destroy(
        settings, with_data=args.with_data, break_lock=args.break_lock, is_unsure=is_unsure
    )
    for what in removed:
        console.say(f"  removed {what}")
    backups = forgetting.kept_backups(settings, data_stays=bool(doomed.stays), is_unsure=is_unsure)
    kept = [*doomed.stays, *backups]
    for what in kept:
        console.say(f"  kept {what}")
    console.say(_ending(name, removed, doomed, backups=bool(backups)))
    if args.json:
        console.json({"removed": removed, "kept": kept})
    return 0


def _agreed(doomed: "Removal", args: argparse.Namespace) -> bool:
    """Asks. Where data goes that could stay, --yes is not enough: the environment's name has to be typed."""
    if not doomed.guarded:
        return console.confirm(f"Remove {', '.join(doomed.goes)}? This cannot be undone.")
    for what in doomed.goes:
        console.say(f"- {what}", "bold red")
    for what in doomed.stays:
        console.say(f"= {what}: stays")
    if doomed.takes_data and doomed.goes:
        question = f"The data goes for good. Type {args.environment} to remove it:"
        return console.typed(question, args.environment, args.confirm, "--confirm")
    return not doomed.goes or console.confirm("Remove this?")


def _ending(name: str, removed: list[str], doomed: "Removal", *, backups: bool) -> str:
    if not removed:
        return f"There was nothing of {name}."
    if backups and not doomed.stays:
        env = name.removeprefix("hangar-")
        return f"Its backups are kept. A machine with their data: ./provision.py up {env} --restore latest"
    return f"The data of {name} is kept." if doomed.stays else f"Nothing of {name} is left."


def _settings(args: argparse.Namespace) -> tuple["Config", bool]:
    """Those of platform.yml; where it cannot be used, the defaults, and True: what is removed is found by its name
    alone, and where backups lie is not known.
    """
    from hangar import config

    env = args.environment
    try:
        return config.load(env, args.overrides), False
    except ConfigError as error:
        require_name(env)
        if _lies_elsewhere(env) or _is_known_elsewhere(env):
            # Where it lies stands in the file alone; a container of that name is another machine, and the key of this
            # one would be thrown away.
            raise
        console.warn(f"{error.brief.partition(';')[0]}; the machine is looked for by its name alone.")
        if not paths.platform_file(env).is_file():
            console.note(f"  {error.details}\n{error.resolution}")
        return config.Config(environment=env), True


ELSEWHERE = re.compile(
    r"""^[^#\n]*?\bcloud["']?\s*:(?:[ \t]*|[ \t]*\r?\n[ \t]+)(?!["']?container\b)[^\s#]""", re.MULTILINE
)
"""`cloud: gcp` in whatever form, in a file that no reader takes."""


def _lies_elsewhere(env: str) -> bool:
    path = paths.platform_file(env)
    raw = path.read_bytes() if path.is_file() else b""
    # UTF-16 has a zero beside each of these letters.
    return bool(ELSEWHERE.search(raw.replace(b"\0", b"").decode(errors="replace")))


def _is_known_elsewhere(env: str) -> bool:
    """Whether this computer logs in to a machine of that name which is not on it."""
    ssh_config = client_config.of(env)
    if not ssh_config.exists():
        return False
    known = client_config.read(ssh_config)
    return "ProxyCommand" in known or known.get("HostName") != LOOPBACK
