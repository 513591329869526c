"""The command line: finds the verb, gives it its arguments, turns errors into exit codes, once."""

import argparse
import contextlib
import difflib
import importlib
import itertools
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Protocol, cast

from hangar import console
from hangar.errors import ConfigError, HangarError

VERBS = {
    "init": "write a commented platform.yml for an environment",
    "plan": "show what `up` would change, and change nothing",
    "up": "make the machine, configure it, prove it",
    "verify": "prove again that the machine keeps its promises",
    "audit": "write signed evidence: each control held, failed, excepted or not applicable",
    "status": "how the machine and its services are",
    "ssh": "log in to the machine, or run one command on it",
    "ssh-config": "let ssh and editors know the machine",
    "code": "open the machine in VS Code",
    "tunnel": "forward the machine's services to this computer",
    "people": "let somebody in, end somebody's access, see who is there",
    "pipelines": "make Airbyte hold what pipelines/*.yml declares",
    "rotate": "make a secret of the machine anew; the old one is refused afterwards",
    "dags": "release DAGs after checks, go back, list the releases",
    "logs": "read the log of a service",
    "upgrade": "newer Debian packages, Docker, Airflow, images and roles; undone where they do not hold",
    "resize": "bring a machine in the cloud to the size that platform.yml says",
    "stop": "shut a machine in the cloud down; its disks stay",
    "start": "start a machine in the cloud again",
    "snapshot": "take, list and delete snapshots of its data disk",
    "restore": "make a new machine beside it with a snapshot's data",
    "backup": "make, list, try and put back encrypted backups",
    "cost": "what the settings cost a month in the cloud",
    "doctor": "look for what would stop a machine here or in the cloud, or an editor on one; name the cure",
    "destroy": "remove the machine and everything that belongs to it",
}
"""Every verb is the module hangar/commands/<verb>.py, imported when it is called."""

INTERRUPTED = 130

READER_LEFT = 141
"""What a shell shows of a program that ended because nobody read it."""


class Command(Protocol):
    """What a module in hangar/commands is. `add_arguments` adds its own arguments only: ENV, --set, --json,
    --yes and --verbose are added here; ENV not where it sets a default for `environment`, as it finds it among words
    of its own then. `run` returns the exit code.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and returns the exit code (see docs: 0 done, 1 failed, 2 configuration wrong, …)."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = _verb(words)
    if verb not in VERBS:
        return _without_verb(verb, words)
    words.remove(verb)
    command = cast(Command, importlib.import_module(f"hangar.commands.{verb.replace('-', '_')}"))
    args = parse(verb, command, words)
    console.configure(json=args.json, yes=args.yes)
    signal.signal(signal.SIGTERM, _terminate)
    return _guarded(command, args)


def _verb(words: Sequence[str]) -> str:
    """The first word that is neither an option nor the value of --set: both may stand before the verb."""
    options = list(itertools.takewhile(lambda word: word != "--", words))
    said = [word for before, word in zip(["", *options], options, strict=False)
            if before != "--set" and not word.startswith("-")]  # fmt: skip
    return said[0] if said else ""


def parse(verb: str, command: Command, words: Sequence[str]) -> argparse.Namespace:
    """The arguments of one verb. What follows `--` comes untouched as `args.rest`."""
    words = list(words)
    cut = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        prog=f"provision.py {verb}",
        description=f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}.",
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    if parser.get_default("environment") is None:
        parser.add_argument("environment", metavar="ENV", nargs="?", default="local", help="default: local")
    parser.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], dest="overrides",
                        help="override platform.yml for this call; may be given more than once")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="answer in JSON, for a program")
    parser.add_argument(
        "--yes", action="store_true", help="answer yes to every question but those that want a name typed"
    )
    parser.add_argument("--verbose", action="store_true", help="show tracebacks and more detail")
    # Options may stand between the words too: people expire NAME --expires DATE ENV.
    args = parser.parse_intermixed_args(words[:cut])
    args.rest = words[cut + 1 :]
    return args


def _without_verb(verb: str, words: list[str]) -> int:
    """Shows the overview, or says which verb was probably meant."""
    parser = _overview()
    if verb:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {close[0]}?" if close else "--help lists them"
        parser.error(f'there is no verb "{verb}"; {hint}')
    parser.parse_args([word for word in words if word.startswith("-")] or ["--help"])
    return 0


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    return argparse.ArgumentParser(
        prog="provision.py",
        usage="provision.py VERB [ENV] [options]",
        description="One command turns this computer or an empty cloud project into a hardened data machine.",
        epilog="verbs:\n" + "\n".join(f"  {verb:{width}}  {text}" for verb, text in VERBS.items())
        + "\n\nENV is a folder under inventory/; default: local. More on a verb: ./provision.py VERB --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def _guarded(command: Command, args: argparse.Namespace) -> int:
    try:
        return command.run(args)
    except KeyboardInterrupt:
        console.note("interrupted; the same command goes on from here.")
        return INTERRUPTED
    except HangarError as error:
        return _failed(error, args)
    except console.ReaderLeft:
        return READER_LEFT
    except OSError as error:
        from hangar.refusals import explained

        return _failed(explained(error) or error, args)
    except Exception as error:
        return _failed(error, args)


def _failed(error: Exception, args: argparse.Namespace) -> int:
    """Shows the error to people, and to a program where one listens."""
    if args.json:
        with contextlib.suppress(console.ReaderLeft):
            console.json({"error": _as_data(error)})
    console.error(error, verbose=args.verbose)
    return error.exit_code if isinstance(error, HangarError) else HangarError.exit_code


def _as_data(error: Exception) -> dict[str, object]:
    if not isinstance(error, HangarError):
        return {"brief": f"{type(error).__name__}: {error}", "details": "", "resolution": console.DEFECT}
    data: dict[str, object] = {
        "brief": error.brief, "details": error.details, "resolution": error.resolution,
    }  # fmt: skip
    if isinstance(error, ConfigError):
        data["problems"] = [{"path": found.path, "message": found.message} for found in error.problems]
    return data


def _terminate(signum: int, frame: FrameType | None) -> None:
    """SIGTERM ends us as Ctrl-C does: running work is stopped first."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
