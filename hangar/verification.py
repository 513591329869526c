"""Runs the roles' contract tests against the live machine; each test is a promise."""

import json
import os
import re
import selectors
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from hangar import process
from hangar.cloud.base import Server
from hangar.errors import HangarError, MachineUnreachable
from hangar.paths import REPO, hosts_file, log_dir, ssh_config
from hangar.process.long_work import stream
from hangar.progress import Counting
from hangar.ssh import call, client_config, known_hosts

Outcome = Literal["held", "broken", "unchecked", "excepted"]

WORKERS = 4
"""Tests mostly wait for the machine, and every process pays for its own start."""

ANSWERS = 60
"""Seconds for a log-in and a command that does nothing."""

PATIENT = {
    "hardening_accounts": 100,
    "monitoring": 15,
    "warehouse": 20,
    "airflow": 20,
    "hardening_system": 10,
}
"""Contracts that wait (PAM after a wrong password, promtool, tasks in containers), in tests that take as long."""


@dataclass(frozen=True)
class Promise:
    """One sentence about the machine, and whether it holds. `seconds` is what it took to find out.

    `test` is the name of the test in the role's contract. `control` is the one control that this case of the test is
    about; empty where it is about all that name the test.
    """

    role: str
    sentence: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    test: str = ""
    control: str = ""


def verify(server: Server, progress: Counting = lambda sentence, done, total: None) -> tuple[Promise, ...]:
    """Every promise of every role, in the order of the site. `progress` is told each sentence that was looked at.

    Raises:
        MachineUnreachable: nothing could be asked, or from some moment on nothing more.
        HangarError: the tests themselves could not run.
    """
    contracts = _contracts(REPO)
    tally = _Tally(progress)
    with _connection(server) as config:
        try:
            _run(server, config, shares(contracts, WORKERS), tally)
        except HangarError:
            call.ask(server.environment, ["true"], seconds=ANSWERS)  # that it went away says more
            raise
    order = {role: number for number, role in enumerate(contracts)}
    return tuple(sorted(tally.promises, key=lambda promise: order.get(promise.role, len(order))))


def _contracts(repo: Path) -> dict[str, Path]:
    """The contract of each role, in the order of the site."""
    (play,) = yaml.safe_load((repo / "playbooks/site.yml").read_text(encoding="utf-8"))
    roles = [entry["role"] for entry in play["roles"]]
    return {role: repo / "roles" / role / "tests" / f"test_{role}.py" for role in roles}


def shares(contracts: dict[str, Path], workers: int) -> list[list[Path]]:
    """The contracts dealt out by what they take, so that all workers end at about the same time."""
    dealt: list[list[Path]] = [[] for _ in range(workers)]
    loads = [0] * workers
    counted = [
        (len(re.findall(r"^def test_", path.read_text(encoding="utf-8"), re.M)) + PATIENT.get(role, 0), path)
        for role, path in contracts.items()
    ]
    for count, path in sorted(counted, key=lambda pair: pair[0], reverse=True):
        lightest = loads.index(min(loads))
        dealt[lightest].append(path)
        loads[lightest] += count
    return [share for share in dealt if share]


@contextmanager
def _connection(server: Server) -> Iterator[Path]:
    """One log-in that all tests go through: a log-in of its own for each would take longer than the tests.

    Yields the SSH client configuration that leads through it.
    """
    with tempfile.TemporaryDirectory(prefix="hangar-") as folder:
        config = Path(folder) / "ssh_config"
        # As text and not by Include: what ssh makes of a % in the path there depends on its version.
        known = ssh_config(server.environment).read_text(encoding="utf-8")
        shared = f"ControlPath {client_config.quote(Path(folder) / 's')}\nControlPersist 600\n"
        config.write_text(shared + known, encoding="utf-8")
        ssh = ["ssh", "-F", str(config), "-o", "BatchMode=yes"]
        argv = [*ssh, "-o", "ControlMaster=yes", server.name, "true"]
        opened = process.bounded(argv, input="", check=False, timeout=ANSWERS)
        if known_hosts.is_another_key(opened.stderr):
            raise known_hosts.another_key(server.name, server.host_keys, opened.stderr)
        if opened.returncode != 0:
            raise MachineUnreachable(
                f"{server.name} lets nobody in, so nothing can be verified.",
                opened.stderr.strip(),
                f"Try: ./provision.py ssh {server.environment}",
            )
        try:
            yield config
        finally:
            process.run([*ssh, "-O", "exit", server.name], check=False)


def _argv(server: Server, config: Path, contracts: Sequence[Path], descriptor: int) -> list[str]:
    return [
        sys.executable, "-m", "pytest", *map(str, contracts),
        "-p", "hangar.promises", "-p", "no:cacheprovider", "--tb=short", "-q",
        "--continue-on-collection-errors",
        f"--promises={descriptor}",
        f"--hosts=root-shell://{server.name}", f"--ssh-config={config}", "--sudo",
        f"--ansible-inventory={hosts_file(server.environment)}",
        *(f"--cannot={limit}" for limit in server.limits),
    ]  # fmt: skip


def _run(server: Server, config: Path, dealt: Sequence[Sequence[Path]], tally: "_Tally") -> None:
    """A pytest for each share, side by side, read line by line while they work. Interrupted, all of them end."""
    log = log_dir(server.environment) / "verification.log"
    log.unlink(missing_ok=True)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        workers = []
        for share in dealt:
            ours, theirs = os.pipe()
            stack.callback(os.close, ours)
            argv = _argv(server, config, share, theirs)
            try:
                worker = stream(argv, log=log, cwd=REPO, pass_fds=(theirs,))
                workers.append(stack.enter_context(worker))
            finally:
                os.close(theirs)
            selector.register(ours, selectors.EVENT_READ)
        for line in _lines(selector):
            tally.read(line)
        codes = {worker.wait() for worker in workers}
    if not codes <= {0, 1}:  # 1: some test failed, which its promise says
        raise _unfinished(log)


def _lines(selector: selectors.BaseSelector) -> Iterator[bytes]:
    """The lines that arrive at any of the descriptors, until all of them are closed at their other end."""
    waiting: dict[int, bytes] = {}
    while selector.get_map():
        for key, _ in selector.select():
            data = os.read(key.fd, 65536)
            if not data:
                selector.unregister(key.fd)
            *lines, waiting[key.fd] = (waiting.get(key.fd, b"") + data).split(b"\n")
            yield from lines


def _unfinished(log: Path) -> HangarError:
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    # Not the code on the way there: it stands in the log.
    last = [line for line in said if not line.removeprefix("INTERNALERROR> ").startswith((" ", "Traceback"))]
    return HangarError(
        "The verification did not run to its end.", "\n".join(last[-15:]), f"Its whole output: {log}"
    )


class _Tally:
    """Collects what the workers write, and counts over all of them."""

    def __init__(self, progress: Counting) -> None:
        self.promises: list[Promise] = []
        self._progress = progress
        self._total = 0

    def read(self, line: bytes) -> None:
        said: dict[str, Any] = json.loads(line)
        if "count" in said:
            self._total += said["count"]
            return
        promise = Promise(**said)
        self.promises.append(promise)
        done = len(self.promises)
        self._progress(promise.sentence, done, max(done, self._total))
