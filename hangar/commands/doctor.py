"""doctor: look for what would stop a machine here or in the cloud, or an editor on one; name the cure."""

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

from hangar import console, paths
from hangar.errors import ConfigError
from hangar.ssh import client_config

if TYPE_CHECKING:
    from hangar.checks import Finding
    from hangar.config import Config

SIGNS = {"ok": "✓", "warning": "!", "missing": "✗"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "named", metavar="ENV", nargs="?",
        help="an environment whose machine this computer knows: walk the way to a working editor on it",
    )  # fmt: skip
    parser.set_defaults(environment="local")


def run(args: argparse.Namespace) -> int:
    """Without ENV it is about this computer. With one, about the machine once `up` or `ssh-config` was told of it
    here, and before that about what would stop its making. An operator's cloud is looked at in both cases.
    """
    if args.named and client_config.of(args.named).exists():
        return _of_machine(args)
    args.environment = args.named or args.environment
    config = _settings(args)
    if config is None or config.cloud != "gcp":
        from hangar import checks

        return _tell(args, [*checks.look(), *_forgotten(config)], "A local machine can be made here.")
    from hangar.checks import google

    good = f"A machine can be made in {config.gcp.project}."
    return _tell(args, [*google.look(config), *_forgotten(config)], good)


def _of_machine(args: argparse.Namespace) -> int:
    from hangar.checks import way

    env = args.environment = args.named
    good = f"An editor can work on hangar-{env}."
    with ThreadPoolExecutor(1) as pool:
        # Who only works on the machine needs none of an operator's permissions.
        around = pool.submit(_around, args) if client_config.is_operators(env) else None
        findings = way.look(env)
        more, project = around.result() if around else ([], "")
    good += f" Nothing in {project} stops an `up`." if project else ""
    return _tell(args, [*findings, *more], good)


def _around(args: argparse.Namespace) -> "tuple[list[Finding], str]":
    """What stands in the way of the next `up` where the machine is in a cloud, and the project's name. Settings that
    are wrong are a finding: the way to the machine is shown without them.
    """
    from hangar.checks.finding import Finding

    try:
        config = _settings(args)
    except ConfigError as error:
        detail = " ".join(f"{error.brief} {error.details}".split())
        return [Finding("Settings", "missing", detail, error.resolution)], ""
    if config is None or config.cloud != "gcp":
        return _forgotten(config), ""
    from hangar.checks import google

    return [*google.look(config), *_forgotten(config)], str(config.gcp.project)


def _forgotten(config: "Config | None") -> "list[Finding]":
    """Rows of people whose day is long past; they stop nothing."""
    from hangar.checks.finding import Finding
    from hangar.people import forgotten

    told = forgotten.told(config) if config else []
    return [Finding("People", "warning", what, cure) for what, cure in told]


def _tell(args: argparse.Namespace, findings: "list[Finding]", good: str) -> int:
    """Shows each finding with its cure; returns 1 if something is missing."""
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        style = {"ok": "", "warning": "yellow", "missing": "red"}[finding.state]
        console.say(f"{SIGNS[finding.state]} {finding.name.ljust(width)}  {finding.detail}", style)
        if finding.cure:
            console.say(f"  {' ' * width}  → {finding.cure}", "cyan")
    ill = any(finding.state == "missing" for finding in findings)
    if args.json:
        fields = ("name", "state", "detail", "cure")
        console.json([{name: asdict(finding)[name] for name in fields} for finding in findings])
    elif not ill:
        console.say(good)
    return 1 if ill else 0


def _settings(args: argparse.Namespace) -> "Config | None":
    """The environment's; None where none was named and there is no file: it would be a machine on this computer.

    Raises:
        ConfigError: they are wrong, or the one that was named does not exist.
    """
    from hangar import config

    if not args.named and not paths.platform_file(args.environment).is_file():
        return None
    return config.load(args.environment, args.overrides)
