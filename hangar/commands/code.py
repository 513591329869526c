"""code: open the machine in VS Code."""

import argparse
from pathlib import Path

from hangar import console, paths
from hangar.commands._editor import Named, ensure_named
from hangar.editor import program, workspace
from hangar.environments import require_name
from hangar.ssh import login

LED_ON = """\
Every developer writes in this folder, and you are root as well: what its .vscode folder and its hooks start would run
as you. Say no when VS Code asks whether you trust its authors, or open a clone of your own: --folder PATH"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        default="",
        metavar="PATH",
        help="what to open (default: the folder of the live DAGs, or your home)",
    )
    parser.add_argument("--print", action="store_true", dest="only_print", help="open nothing")


def run(args: argparse.Namespace) -> int:
    require_name(args.environment)
    folder = workspace.require_folder(args.folder) if args.folder else ""
    named = ensure_named(args, login.recorded(args.environment))
    folder = folder or _usual(named)
    host = named.machine.server.name
    path = paths.state_dir(args.environment) / f"{host}.code-workspace"
    workspace.write(path, host, folder)
    link = workspace.link(host, folder)
    console.say(f"Link: {link}")
    console.say(f"Workspace: {path}")
    if folder == workspace.LIVE and _may_be_led_on(named):
        console.note(LED_ON)
    opened = not args.only_print and not args.json and named.included and _open(path)
    if args.json:
        console.json({"host": host, "folder": folder, "link": link, "workspace": str(path), "opened": opened})
    return 0


def _user(named: Named) -> str:
    return named.login.user if named.login else named.machine.server.admin


def _may_be_led_on(named: Named) -> bool:
    """Whether somebody who is not root writes where this one, who is, opens an editor."""
    server, people = named.machine.server, named.machine.settings.people
    admins = {server.admin, *(person.name for person in people if person.role == "admin")}
    return _user(named) in admins and any(person.role == "developer" for person in people)


def _usual(named: Named) -> str:
    """Where DAGs are written, for those who may; for a viewer, and on a machine without such a folder, the home of
    whoever is here.
    """
    admin, user = named.machine.server.admin, _user(named)
    viewers = {person.name for person in named.machine.settings.people if person.role == "viewer"}
    if named.machine.settings.airflow.live_dags and user not in viewers:
        return workspace.LIVE
    return workspace.home(user, is_person=user != admin)


def _open(path: Path) -> bool:
    found = program.find()
    if found is None:
        console.say(
            "VS Code is not installed here, or its command `code` is not on the PATH. "
            "Where it is, the link opens in any browser.\n"
            f"Install it: {program.install_hint()}"
        )
        return False
    console.say(
        "Opening VS Code; at the first time it installs its server on the machine, which takes a minute."
    )
    program.open_workspace(found, path)
    return True
