"""audit: prove the machine's controls, let scanners look, and write signed evidence."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hangar import console

if TYPE_CHECKING:
    from hangar.audit.files import Written
    from hangar.audit.record import Audit, Change

STYLES = {"failed": "bold red", "held": "green", "excepted": "yellow", "not applicable": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with", dest="scanners", metavar="NAMES", default="",
        help="scanners to run, with commas: lynis,ssh-audit,openscap (installed on the machine if need be)",
    )  # fmt: skip
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("OLD", "NEW"),
        help="say what changed between two audits, and look at nothing",
    )


def run(args: argparse.Namespace) -> int:
    if args.compare:
        return _compare(args)
    from hangar import config, machine
    from hangar.audit import files, scanners, stage

    asked = [name for name in map(str.strip, args.scanners.split(",")) if name]
    scanners.require_names(asked)
    settings = config.load(args.environment, args.overrides)
    audit = stage.audit(settings, asked)
    written = files.write(audit, machine.private_key(settings))
    _show(audit, written)
    if args.json:
        from hangar.audit.record import as_dict

        console.json({**as_dict(audit), "files": {"page": str(written.page), "data": str(written.data)}})
    return audit.exit_code


def _compare(args: argparse.Namespace) -> int:
    from hangar.audit import assess, files

    old, new = (files.read(Path(path)) for path in args.compare)
    doubts = [sentence for path in args.compare if (sentence := files.doubt(Path(path)))]
    for sentence in doubts:
        console.warn(sentence)
    changes = assess.compare(old, new)
    _show_changes(changes)
    if not changes:
        console.say("Nothing changed.")
    if args.json:
        console.json({"changes": [asdict(change) for change in changes], "doubts": doubts})
    # What is compared there is no evidence.
    return 3 if doubts else 0


def _show(audit: "Audit", written: "Written") -> None:
    for finding in (*audit.of("failed"), *audit.of("excepted")):
        console.say(f"{finding.verdict:9} {finding.control}: {finding.promise}", STYLES[finding.verdict])
        for line in finding.reason.splitlines()[:6]:
            console.say(f"          {line}")
    for sentence in audit.promises_broken:
        console.say(f"broken    {sentence}", STYLES["failed"])
    console.say()
    for sentence in audit.passed_over:
        console.warn(f"{sentence} It was not compared with.")
    if audit.since:
        console.say(f"Since {audit.since}: {len(audit.changes) or 'no'} change(s)", "bold")
        _show_changes(audit.changes)
    for scan in audit.scans:
        console.say(f"{scan.scanner}: {scan.score}")
    console.say(", ".join(f"{count} {verdict}" for verdict, count in audit.counts.items()) + ".", "bold")
    console.say(f"Evidence  {written.page}")
    console.say(f"          {written.data} (signed, {written.data.name}.sig)")


def _show_changes(changes: "tuple[Change, ...]") -> None:
    for change in changes:
        console.say(f"  {change.control}: {change.before or 'new'} → {change.after or 'gone'}")
