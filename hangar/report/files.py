"""The report as files beside the environment's state: report.json and report.html."""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hangar import paths
from hangar.report import words
from hangar.report.record import Report, as_dict
from hangar.report.terminal import summary
from hangar.ssh.files import write_atomically


def write(report: Report) -> Path:
    """Writes both files, whole or not at all, and returns the page."""
    env = report.config.environment
    paths.ensure_state_dir(env)
    page = paths.report_file(env, "html")
    write_atomically(
        paths.report_file(env, "json"), json.dumps(as_dict(report), indent=2, ensure_ascii=False) + "\n"
    )
    write_atomically(page, html(report))
    return page


def html(report: Report) -> str:
    """A page that needs nothing but itself."""
    environment = Environment(
        loader=FileSystemLoader(paths.REPO / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    longest = max((timing.seconds for timing in report.timings), default=1.0)
    return environment.get_template("report.html.j2").render(
        report=report,
        data=as_dict(report),
        summary=summary(report),
        roles=words.ROLES,
        cannot=words.cannot(report.server),
        words=words,
        longest=longest or 1.0,
    )
