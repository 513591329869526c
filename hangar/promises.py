"""A pytest plugin that tells what each contract test says and whether it holds, a line of JSON each.

Loaded with `-p hangar.promises --promises FD`, where FD is an open file descriptor; `hangar.verification`
reads its other end.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hangar.controls import LEFT_OPEN

LINES, WIDTH = 15, 400
"""How much of a failed assertion goes into a report."""

_NAMES = """
Airbyte Airflow API CPU DAG DAGs Debian Docker FAB Fernet HTTP ICMP IPv4 IPv6 JWT NTP PermitOpen Postgres
SSH TCP TLS UTC VM
"""
PROPER_NAMES = {name.lower(): name for name in _NAMES.split()}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Takes the descriptor that the lines are written to."""
    parser.addoption("--promises", type=int, metavar="FD", help="write a line of JSON for each promise")


def pytest_configure(config: pytest.Config) -> None:
    """Writes nothing unless it was asked to."""
    if config.getoption("--promises") is not None:
        config.pluginmanager.register(_Writer(config.getoption("--promises")))


def sentence(name: str, docstring: str | None = None, case: str = "") -> str:
    """What a test promises: the first line of its docstring, or its name read as a sentence.

    >>> sentence("test_root_cannot_log_in")
    'Root cannot log in'
    """
    text = (docstring or "").strip().split("\n")[0].rstrip(".")
    if not text:
        words = name.removeprefix("test_").split("_")
        text = " ".join(PROPER_NAMES.get(word, word) for word in words)
        text = text[:1].upper() + text[1:]
    return f"{text} ({case})" if case else text


def role_of(path: Path) -> str:
    """The role whose contract stands at `roles/<role>/tests/test_….py`."""
    return path.parent.parent.name


class _Writer:
    """Writes a line when the tests are counted, and one for each that ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written: set[str] = set()
        self._about: dict[str, tuple[str, str, str, str]] = {}

    def _write(self, **line: Any) -> None:
        data = json.dumps(line).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            function = getattr(item, "function", None)
            text = sentence(
                getattr(item, "originalname", item.name), getattr(function, "__doc__", None), _case(item)
            )
            test = getattr(item, "originalname", item.name)
            self._about[item.nodeid] = (role_of(item.path), text, test, control_of(item))
        self._write(count=len(session.items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            role = role_of(Path(report.nodeid))
            text = f"The contract of {role} can be read"
            self._write(role=role, sentence=text, outcome="broken", reason=str(report.longrepr), seconds=0.0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A promise holds when its test ran and passed; a failure around it breaks it as well."""
        if report.passed and report.when != "call":
            return
        if report.nodeid in self._written:
            return
        self._written.add(report.nodeid)
        role, text, test, control = self._about[report.nodeid]
        outcome = {"passed": "held", "failed": "broken", "skipped": "unchecked"}[report.outcome]
        reason = _reason(report)
        if outcome == "unchecked" and reason.startswith(LEFT_OPEN):
            outcome = "excepted"
        self._write(
            role=role, sentence=text, outcome=outcome, reason=reason, seconds=round(report.duration, 3),
            test=test, control=control,
        )  # fmt: skip


def control_of(item: pytest.Item) -> str:
    """The one control that this case of a test is about: its parameter `control`. Empty where it has none."""
    return str(_parameters(item).get("control", ""))


def _case(item: pytest.Item) -> str:
    """The case of a test that is asked of several things; the machine, testinfra's own parameter, is none."""
    return ", ".join(str(value) for name, value in _parameters(item).items() if name != "_testinfra_host")


def _parameters(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return dict(callspec.params) if callspec else {}


def _reason(report: pytest.TestReport) -> str:
    if report.passed:
        return ""
    if report.skipped:
        longrepr = report.longrepr
        text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
        return text.removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext
    sections = [
        f"{title}:\n{content.rstrip()}"
        for title, content in report.sections
        if "journal" in title and content
    ]
    return "\n".join([_short(text), *sections])


def _short(text: str) -> str:
    """As much as a report can show; the log of the run has the whole."""
    lines = text.rstrip().splitlines()
    shown = [line if len(line) <= WIDTH else f"{line[:WIDTH]} …" for line in lines[:LINES]]
    return "\n".join(shown if len(lines) <= LINES else [*shown, "…"])
