"""One machine for the whole folder: made from a clone, by the README's commands, as a new user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest

from tests.engine.test_machine import firewall

REPO = Path(__file__).resolve().parents[2]
LOGS = Path("/tmp/hangar-e2e-logs")
FIRST_UP = 3600
"""Seconds for the first `up`: three minutes on two cores, and more than twenty where forty processes wait for them."""

# The files in the order of a machine's life; each leaves a healthy machine to the next.
ORDER = (
    "test_readme.py", "test_data.py", "test_editor.py", "test_attacks.py", "test_people.py", "test_backup.py",
    "test_restart.py", "test_sabotage.py", "test_destroy.py", "test_google_cloud.py",
)  # fmt: skip
AFTER = {"test_google_cloud.py": "test_restart.py", "test_destroy.py": "test_google_cloud.py"}
"""Which file waits for which: what is measured has this computer for itself, and what looks whether this computer is as
it was looks last.
"""
TURNS = "HANGAR_E2E_TURNS"
"""Names the folder with a file for each of these that has ended."""

A_LIFE = 3600
"""Seconds that no file takes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files in the order of a machine's life."""
    here = Path(__file__).parent
    rank = {name: number for number, name in enumerate(ORDER)}
    items.sort(key=lambda item: rank.get(item.path.name, -1) if item.path.parent == here else -1)


@pytest.fixture(scope="module", autouse=True)
def turn(request: pytest.FixtureRequest) -> None:
    """Beside another process (`tests.e2e.beside`), wait for its file that comes first."""
    if TURNS in os.environ and (first := AFTER.get(request.path.name)):
        ended = Path(os.environ[TURNS]) / first
        deadline = time.monotonic() + A_LIFE
        while not ended.exists():
            assert time.monotonic() < deadline, f"{first} did not end"
            time.sleep(1)  # between two looks at the condition


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Say that a file has ended, whatever became of it: without a machine, no fixture of a module begins."""
    try:
        yield
    finally:
        if TURNS in os.environ and (nextitem is None or nextitem.path != item.path):
            (Path(os.environ[TURNS]) / item.path.name).touch()


@dataclass
class Checkout:
    """A clone in a temporary folder, and the environment that lives in it."""

    path: Path
    environment: str
    first_up: subprocess.CompletedProcess[str] | None = None
    first_seconds: float = 0.0
    laptop_before: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.path / ".hangar" / self.environment

    @property
    def platform(self) -> Path:
        """platform.yml, the one file that a user edits."""
        return self.path / "inventory" / self.environment / "platform.yml"

    @property
    def hosts(self) -> Path:
        return self.path / "inventory" / self.environment / "hosts.yml"

    def hangar(
        self, verb: str, *arguments: str, check: bool = True, timeout: float = 1200
    ) -> subprocess.CompletedProcess[str]:
        """Run ``./provision.py VERB ENV …`` as a person would, its output captured. A verb may have two words."""
        done = subprocess.run(
            ["./provision.py", *verb.split(), self.environment, *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            said = f"{self.broken() if verb == 'up' else ''}{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            pytest.fail(f"{verb} ended with {done.returncode}\n{said}")
        return done

    def broken(self) -> str:
        """The promises that the last `up` did not keep, and why: they may stand far above the end of what it said."""
        kept = (self.state / "report.json").exists()
        found = [one for one in self.report()["promises"] if one["outcome"] == "broken"] if kept else []
        return "".join(f"BROKEN: {one['sentence']}\n{one['reason']}\n" for one in found)

    def ssh(self, command: str, *, check: bool = True, input: str = "") -> subprocess.CompletedProcess[str]:
        """Run a shell command on the machine as the admin account. A secret belongs into `input`: the machine's
        journal keeps every command that sudo runs.
        """
        done = subprocess.run(
            ["ssh", "-F", str(self.state / "ssh_config"), f"hangar-{self.environment}", command],
            capture_output=True,
            text=True,
            input=input,
            timeout=120,
        )
        if check and done.returncode != 0:
            pytest.fail(f"{command!r} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def report(self) -> dict:
        return json.loads((self.state / "report.json").read_text())

    def changed(self) -> list[str]:
        """What the last `up` changed on the machine, task by task, as its log tells it."""
        found, task = [], ""
        for line in (self.state / "log" / "latest-playbook.log").read_text().splitlines():
            if line.startswith(("TASK [", "RUNNING HANDLER [")):
                task = line.rstrip(" *")
            elif line.startswith("changed: "):
                found.append(f"{task} {line}")
        assert bool(found) == bool(self.report()["changed"])
        return found

    def inventory(self) -> dict:
        import yaml

        return yaml.safe_load(self.hosts.read_text())["all"]["hosts"][f"hangar-{self.environment}"]


def laptop() -> dict[str, str]:
    """What ``up`` must not change on the machine that runs it."""
    sysctls = subprocess.run(["sysctl", "-a"], capture_output=True, text=True).stdout
    # what the engine's own bridge brings, and counters that move by themselves
    moving = (
        "kernel.random", "fs.dentry", "fs.inode", "fs.file-nr", "kernel.ns_last_pid", "fs.quota", "kernel.pty.nr",
        "net.netfilter.nf_conntrack_count", "dev.raid", "kernel.tainted",
    )  # fmt: skip
    lines = [
        line
        for line in sysctls.splitlines()
        if not line.startswith(moving) and ".veth" not in line and ".br-" not in line
    ]
    return {
        "sysctls": "\n".join(lines),
        "passwd": Path("/etc/passwd").read_text(),
        "group": Path("/etc/group").read_text(),
        "subuid": Path("/etc/subuid").read_text() if Path("/etc/subuid").exists() else "",
        "firewall": "\n".join(firewall()),
    }


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A clone of what is committed here: what is not in git does not exist for a new user."""
    environment = os.environ.get("HANGAR_E2E_ENVIRONMENT", "e2e")
    with cloned(tmp_path_factory.mktemp("clone") / "hangar", environment) as place:
        yield place


@contextmanager
def cloned(path: Path, environment: str) -> Iterator[Checkout]:
    """A clone with this environment, which is destroyed afterwards; its logs stay."""
    subprocess.run(["git", "clone", "-q", str(REPO), str(path)], check=True)
    if environment != "local":
        shutil.copytree(path / "inventory" / "local", path / "inventory" / environment)
    place = Checkout(path, environment)
    place.laptop_before = laptop()
    try:
        yield place
    finally:
        LOGS.mkdir(exist_ok=True)
        for log in (place.state / "log").glob("*.log"):
            shutil.copy(log, LOGS)
        if place.state.exists():
            place.hangar("destroy", "--yes", check=False)


@pytest.fixture(scope="session")
def machine(checkout: Checkout) -> Checkout:
    """The machine that ``./provision.py up`` made; its first run is kept for the tests to read."""
    start = time.monotonic()
    checkout.first_up = checkout.hangar("up", "--yes", check=False, timeout=FIRST_UP)
    checkout.first_seconds = time.monotonic() - start
    if checkout.first_up.returncode != 0:
        done = checkout.first_up
        pytest.fail(f"up ended with {done.returncode}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}")
    return checkout


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    return docker.from_env()
