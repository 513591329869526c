"""What every contract has at hand: the machine (`host`), the options in force, and a client's view of it.

The same files run against a machine that molecule made and against a live one:

    pytest roles --hosts=root-shell://NAME --ssh-config=FILE --sudo --ansible-inventory=FILE [--cannot=vm] [--disturb]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from testinfra.backend.base import CommandResult

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

# The package is found by the line above.
from hangar import root_shell  # noqa: E402
from hangar.contracts import absent_roles, effective_options, left_open, switched_off  # noqa: E402
from hangar.promises import control_of, role_of  # noqa: E402

JOURNAL_LINES = 25

PATIENCE = 120
"""Seconds for a command over SSH. One that hangs is a fault; one on a busy emulated processor is only slow."""

REASONS = {"vm": "needs a kernel of its own"}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contracts")
    group.addoption("--cannot", action="append", default=[], metavar="MARKER",
                    help="promises with this marker cannot be shown on this kind of machine")  # fmt: skip
    group.addoption("--disturb", action="store_true",
                    help="also what ends people's work: services killed, rights changed for a moment")  # fmt: skip


def told(result: CommandResult) -> str:
    """A command and how it ended, in a failed assertion. What it printed is left out: it may be long, or secret."""
    command = result.command.decode(errors="replace") if isinstance(result.command, bytes) else result.command
    said = result.stderr.strip().splitlines()[-1:] or ["nothing on standard error"]
    return f"{' '.join(command.split())[:200]!r} ended with {result.rc}: {said[0][:300]}"


def pytest_configure(config: pytest.Config) -> None:
    root_shell.register()
    CommandResult.__repr__ = told  # type: ignore[method-assign]
    config.addinivalue_line("markers", "vm: needs a kernel of its own, which a container does not have")
    config.addinivalue_line(
        "markers", "disturbs: ends people's work, so it is left out on a machine that is lived in"
    )
    config.addinivalue_line(
        "markers", "settings: looks at the settings alone, so also where its role is switched off"
    )


def exempt(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what proves a control that is left open, and the contract of a role that is switched off."""
    inventory = config.getoption("--ansible-inventory")
    if not inventory or not items:
        return
    options = effective_options(Path(inventory))
    roles, tests = switched_off(options), left_open(options)
    for item in items:
        role = role_of(item.path)
        reason = tests.get((role, getattr(item, "originalname", item.name), control_of(item)), "")
        if role in roles and not item.get_closest_marker("settings"):
            reason = roles[role]
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if inventory := config.getoption("--ansible-inventory"):
        options = effective_options(Path(inventory))
        # A role of the hardening that is switched off is told of as left open; `exempt` says so.
        absent = absent_roles(options) - set(switched_off(options))
        left_out = [item for item in items if role_of(item.path) in absent]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    exempt(config, items)
    for marker in config.getoption("--cannot"):
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=REASONS.get(marker, f"needs {marker}")))
    if not config.getoption("--disturb"):
        left_out = [item for item in items if item.get_closest_marker("disturbs")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@dataclass(frozen=True)
class Client:
    """The machine as somebody sees it who comes over the network."""

    name: str
    config: Path

    def ssh(
        self, *options: str, command: str = "", input: str = "", timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """A new connection, with these further options. Never asks for anything."""
        argv = ["ssh", "-F", str(self.config), "-S", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30",
                *options, self.name, *([command] if command else [])]  # fmt: skip
        return subprocess.run(argv, input=input, capture_output=True, text=True, timeout=timeout)

    def start(self, *options: str, command: str = "") -> subprocess.Popen[str]:
        """A connection that stays until it is ended, for a forward."""
        argv = ["ssh", "-F", str(self.config), "-S", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30",
                *options, self.name, *([command] if command else [])]  # fmt: skip
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @cached_property
    def settings(self) -> dict[str, str]:
        """What ssh makes of its configuration: hostname, port, user and so on."""
        done = subprocess.run(
            ["ssh", "-G", "-F", str(self.config), self.name], capture_output=True, text=True, check=True
        )
        return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)

    @property
    def address(self) -> str:
        return self.settings["hostname"]

    @property
    def port(self) -> int:
        return int(self.settings["port"])


@pytest.fixture(scope="session")
def options(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """The variables in force on the machine, by name: the roles' defaults, the groups', the host's."""
    return effective_options(Path(request.config.getoption("--ansible-inventory")))


@pytest.fixture(scope="session")
def client(request: pytest.FixtureRequest) -> Client:
    """The machine from outside."""
    name = request.config.getoption("--hosts").split("://")[-1].split("?")[0]
    return Client(name, Path(request.config.getoption("--ssh-config")))


@pytest.fixture(scope="module")
def attempt(host: Any) -> Callable[[Mapping[Any, str]], dict[Any, int]]:
    """Runs many commands as root in one go; tells the exit status of each by its key."""

    def run(commands: Mapping[Any, str]) -> dict[Any, int]:
        script = "\n".join(
            f"( {command}\n) >/dev/null 2>&1 </dev/null; echo $?" for command in commands.values()
        )
        return dict(zip(commands, map(int, host.check_output(script).split()), strict=True))

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A broken promise comes with the journal of the units that the contract names (UNITS)."""
    report = yield
    units = getattr(item.module, "UNITS", ())  # type: ignore[attr-defined]
    host = getattr(item, "funcargs", {}).get("host")
    if report.when == "call" and report.failed and units and host:
        chosen = " ".join(f"--unit {unit}" for unit in units)
        journal = host.run(f"journalctl --no-pager --quiet --lines {JOURNAL_LINES} --output short {chosen}")
        report.sections.append(("the machine's journal", journal.stdout))
    return report
