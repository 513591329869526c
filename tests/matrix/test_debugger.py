"""A developer debugs a DAG on the machine as VS Code does: by the launch configuration that the machine gives every
editor, through an SSH session of the developer's own.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.e2e.test_people import Person, add

from .dap import Adapter, Message

STOPS = 300
"""Seconds until the breakpoint; the first run makes the person's own database."""

SETTINGS = ".vscode-server/data/Machine/settings.json"
DAG = """from airflow.sdk import dag, task


@dag(schedule=None)
def sums():
    @task
    def add(numbers):
        total = 0
        for number in numbers:
            total += number
        print(f"the sum is {total}")  # HERE
        return total

    add([3, 4, 5])


sums()
"""
HERE = next(number for number, line in enumerate(DAG.splitlines(), 1) if line.endswith("# HERE"))


@dataclass
class Session:
    """Somebody's session in the debugger, from F5 on."""

    person: Person
    configuration: dict[str, Any]
    file: str
    terminals: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        python = self.configuration["python"]
        # The editor's extension starts the adapter that it brings; this is the same program.
        self.adapter = Adapter(self.person.argv(f"exec {python} -m debugpy.adapter"), self._terminal)

    def start(self, *lines: int) -> None:
        """F5 with breakpoints in these lines."""
        adapter = self.adapter
        adapter.ask(
            "initialize", adapterID=self.configuration["type"], clientID="vscode", pathFormat="path",
            linesStartAt1=True, columnsStartAt1=True, supportsRunInTerminalRequest=True,
        )  # fmt: skip
        launched = adapter.begin(self.configuration["request"], **self.configuration)
        adapter.wait("initialized", STOPS)
        points = [{"line": line} for line in lines]
        found = adapter.ask("setBreakpoints", source={"path": self.file}, breakpoints=points)
        assert [point["line"] for point in found["breakpoints"]] == list(lines), found
        adapter.ask("configurationDone")
        launched(STOPS)

    def frame(self, thread: int) -> dict[str, Any]:
        """The innermost frame of a thread that stands still."""
        (found,) = self.adapter.ask("stackTrace", threadId=thread, levels=1)["stackFrames"]
        return dict(found)

    def locals(self, frame: int) -> tuple[int, dict[str, str]]:
        """The reference by which they are changed, and each with its value as the editor shows it."""
        scopes = self.adapter.ask("scopes", frameId=frame)["scopes"]
        reference = next(scope["variablesReference"] for scope in scopes if scope["name"] == "Locals")
        found = self.adapter.ask("variables", variablesReference=reference)["variables"]
        return reference, {one["name"]: one["value"] for one in found}

    def value(self, frame: int, expression: str) -> str:
        """As somebody asks in the debug console."""
        found = self.adapter.ask("evaluate", expression=expression, frameId=frame, context="repl")
        return str(found["result"])

    def printed(self) -> str:
        """What stands in the terminal, when the program in it has ended."""
        (terminal,) = self.terminals
        return terminal.communicate(timeout=60)[0]

    def close(self) -> None:
        self.adapter.close()
        for terminal in self.terminals:
            terminal.terminate()
            terminal.communicate(timeout=30)

    def _terminal(self, wanted: Message) -> None:
        """A terminal of the editor's: another program of the same person's on the machine."""
        values = [f"{name}={value}" for name, value in (wanted.get("env") or {}).items() if value is not None]
        command = f"cd {shlex.quote(wanted['cwd'])} && exec {shlex.join(['env', *values, *wanted['args']])}"
        self.terminals.append(
            subprocess.Popen(
                self.person.argv(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True,
            )
        )  # fmt: skip


@pytest.fixture(scope="module")
def dora(machine: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """A developer with a DAG in a folder of her own."""
    person = Person(machine, tmp_path_factory.mktemp("keys"), "dora")
    add(person, "developer")
    put = person.argv("mkdir -p ~/dags && cat > ~/dags/sums.py")
    subprocess.run(put, input=DAG, text=True, check=True, timeout=60)
    yield person
    person.people("remove", check=False)


@pytest.fixture
def session(dora: Person) -> Iterator[Session]:
    """The debug configuration that her editor finds on the machine, for the file that she looks at."""
    home = dora.run("echo $HOME").stdout.strip()
    (configuration,) = json.loads(dora.run(f"cat {SETTINGS}").stdout)["launch"]["configurations"]
    file = f"{home}/dags/sums.py"
    known = {"${file}": file, "${workspaceFolder}": f"{home}/dags"}
    configuration["args"] = [known.get(word, word) for word in configuration["args"]]
    found = Session(dora, {"cwd": f"{home}/dags", **configuration}, file)
    yield found
    found.close()


def test_a_breakpoint_in_a_task_stops_it_and_its_variables_are_read_and_changed(
    session: Session, machine: Checkout
) -> None:
    began = time.monotonic()
    session.start(HERE)
    stopped = session.adapter.wait("stopped", STOPS)
    print(f"the breakpoint was reached after {time.monotonic() - began:.1f} s")
    assert stopped["reason"] == "breakpoint"
    frame = session.frame(stopped["threadId"])
    assert (frame["source"]["path"], frame["line"], frame["name"]) == (session.file, HERE, "add")
    reference, values = session.locals(frame["id"])
    assert values == {"number": "5", "numbers": "[3, 4, 5]", "total": "12"}
    # The same Airflow as the platform's, and nothing that is the platform's own.
    version = Airflow.of(machine).call("GET", "/api/v2/version")["version"]
    assert session.value(frame["id"], "__import__('airflow').__version__") == repr(version)
    look = "[name for name in __import__('os').environ if name.startswith(('AIRFLOW_CONN', 'AIRFLOW_VAR'))]"
    assert session.value(frame["id"], look) == "[]"
    closed = "__import__('os').access('/srv/airflow/secrets/fernet_key', 4)"
    assert session.value(frame["id"], closed) == "False"
    # What is changed here is what the task goes on with.
    session.adapter.ask("setVariable", variablesReference=reference, name="total", value="40")
    session.adapter.ask("continue", threadId=stopped["threadId"])
    assert session.adapter.wait("exited", STOPS)["exitCode"] == 0
    session.adapter.wait("terminated")
    lines = session.printed().splitlines()
    assert any("the sum is 40" in line for line in lines), lines
    assert "sums: success" in lines


def test_without_a_breakpoint_it_runs_through(session: Session) -> None:
    session.start()
    assert session.adapter.wait("exited", STOPS)["exitCode"] == 0
    assert [event for event in session.adapter.said if event["event"] == "stopped"] == []
    assert any("the sum is 12" in line for line in session.printed().splitlines())
