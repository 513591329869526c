"""doctor: look for what would stop a machine here, and name the cure."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from hangar import checks, console, paths
from hangar.environments import require_name

if TYPE_CHECKING:
    from hangar.config import Config

SIGNS = {"ok": "✓", "warning": "!", "missing": "✗"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(args: argparse.Namespace) -> int:
    config = _in_cloud(args)
    if config is None:
        findings = checks.look()
    else:
        from hangar.checks import google

        findings = google.look(config)
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
        console.say(
            "A local machine can be made here."
            if config is None
            else f"A machine can be made in {config.gcp.project}."
        )
    return 1 if ill else 0


def _in_cloud(args: argparse.Namespace) -> "Config | None":
    """The settings, where they ask for a machine in a cloud; without a file it would be a local one."""
    from hangar import config

    if not paths.platform_file(args.environment).is_file():
        require_name(args.environment)
        return None
    settings = config.load(args.environment, args.overrides)
    return settings if settings.cloud == "gcp" else None
