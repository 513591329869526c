"""ssh-config: let ssh and editors know the machine as hangar-<env>."""

import argparse
from dataclasses import asdict
from pathlib import Path, PureWindowsPath

from hangar import console
from hangar.commands._editor import ensure_named, load_for, where
from hangar.environments import require_name
from hangar.errors import HangarError
from hangar.ssh import include, login, tunnel
from hangar.ssh.login import Login


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user", default="", metavar="NAME", help="your account on the machine (default: the operator's)"
    )
    parser.add_argument("--key", default="", metavar="PATH", help="your private key")
    parser.add_argument("--jump", default="", metavar="HOST", help="a host to pass on the way")
    parser.add_argument(
        "--windows", type=Path, metavar="FOLDER",
        help="write for Windows' own ssh, into this .ssh folder of a Windows account (from WSL: /mnt/c/Users/…/.ssh)",
    )  # fmt: skip
    parser.add_argument(
        "--relay", default="", metavar="CHECKOUT",
        help="with --windows: a checkout as Windows names it, whose .venv runs Hangar's relay in gcloud's place",
    )  # fmt: skip
    parser.add_argument("--remove", action="store_true", help="take back what this wrote")


def run(args: argparse.Namespace) -> int:
    require_name(args.environment)
    if args.remove:
        return _remove(args)
    if args.windows:
        return _for_windows(args)
    if args.relay:
        raise HangarError(
            "--relay is for Windows' own ssh.",
            resolution="Say its folder too: --windows /mnt/c/Users/NAME/.ssh",
        )
    named = ensure_named(args, login.said(args.environment, args.user, args.key, args.jump))
    server, path = named.machine.server, include.include_file(args.environment)
    console.say(f"{'Wrote' if named.changed else 'Unchanged:'} {path}")
    user = named.login.user if named.login else server.admin
    if args.json:
        forwards = [{**asdict(forward), "page": forward.page} for forward in named.forwards]
        console.json({"host": server.name, "user": user, "file": str(path), "changed": named.changed,
                      "included": named.included, "forwards": forwards})  # fmt: skip
    if named.included:
        console.say(
            f"Try it: ssh {server.name}   (as {user}; in VS Code: ./provision.py code {args.environment})"
        )
        for forward in named.forwards:
            console.say(f"While you are connected, {where(forward)}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    removed = include.remove(args.environment, args.windows)
    console.say("\n".join(f"Removed {name}" for name in removed) or "There was nothing to remove.")
    if args.json:
        console.json({"removed": removed})
    return 0


def _for_windows(args: argparse.Namespace) -> int:
    """Nothing of this computer's own is changed but what it knows of the machine."""
    at: Path = args.windows
    if not at.is_dir():
        raise HangarError(f"There is no folder {at}.", resolution=_how_to_name(at))
    login.require_windows_key(args.key)
    known = login.recorded(args.environment)
    here = Login(args.user or (known.user if known else ""), args.key, args.jump)
    login.require_complete(here, args.environment)
    machine = load_for(args, known)
    forwards = tunnel.planned(machine.server, machine.services)
    changed = include.write_windows(at, machine.server, forwards, here, args.relay)
    included = include.is_included(at) or _include_there(at)
    path = include.include_file(args.environment, at)
    console.say(f"{'Wrote' if changed else 'Unchanged:'} {path}")
    if args.json:
        console.json({"host": machine.server.name, "user": here.user, "file": str(path), "changed": changed,
                      "included": included})  # fmt: skip
    return 0


def _how_to_name(at: Path) -> str:
    """A folder of Windows' as WSL has it; where it is named so, it has to be made."""
    there = PureWindowsPath(str(at))
    if there.drive[1:] != ":":
        return f"Make it in Windows: mkdir {at.name}"
    rest = "/".join(there.parts[1:])
    return f"Say it as WSL names it: --windows /mnt/{there.drive[0].lower()}/{rest}"


def _include_there(at: Path) -> bool:
    after, difference = include.proposal(at)
    console.say(difference)
    if not console.confirm(f"Change {at / 'config'} like this?"):
        console.say(include.LEFT)
        return False
    include.accept(after, at)
    return True
