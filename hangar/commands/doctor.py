"""doctor: look for what would stop a machine here, and name the cure."""

import argparse
from dataclasses import asdict

from hangar import checks, console

SIGNS = {"ok": "✓", "warning": "!", "missing": "✗"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(args: argparse.Namespace) -> int:
    findings = checks.look()
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
        console.say("A local machine can be made here.")
    return 1 if ill else 0
