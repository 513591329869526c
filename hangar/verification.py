"""Runs the roles' contract tests against the live machine; each test is a promise."""

import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from hangar import process
from hangar.cloud.base import Server
from hangar.errors import HangarError, MachineUnreachable
from hangar.paths import REPO, hosts_file, log_dir, ssh_config

Outcome = Literal["held", "broken", "unchecked"]

WORKERS = 2
"""Tests mostly wait for the machine, and every process pays for its own start."""


@dataclass(frozen=True)
class Promise:
    """One sentence about the machine, and whether it holds. `seconds` is what it took to find out."""

    role: str
    sentence: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0


Progress = Callable[[str, int, int], None]
"""Told the sentence that was just looked at, how many are done, and of how many."""


def verify(server: Server, progress: Progress = lambda sentence, done, total: None) -> tuple[Promise, ...]:
    """Every promise of every role, in the order of the site.

    Raises:
        MachineUnreachable: nothing could be asked.
        HangarError: the tests themselves could not run.
    """
    contracts = _contracts(REPO)
    tally = _Tally(progress)
    with _connection(server) as config, ThreadPoolExecutor(WORKERS) as pool:
        runs = [
            pool.submit(_run, server, config, share, number, tally)
            for number, share in enumerate(shares(contracts, WORKERS))
        ]
        promises = [promise for run in runs for promise in run.result()]
    order = {role: number for number, role in enumerate(contracts)}
    return tuple(sorted(promises, key=lambda promise: order.get(promise.role, len(order))))


def _contracts(repo: Path) -> dict[str, Path]:
    """The contract of each role, in the order of the site."""
    (play,) = yaml.safe_load((repo / "playbooks/site.yml").read_text(encoding="utf-8"))
    roles = [entry["role"] for entry in play["roles"]]
    return {role: repo / "roles" / role / "tests" / f"test_{role}.py" for role in roles}


def shares(contracts: dict[str, Path], workers: int) -> list[list[Path]]:
    """The contracts dealt out by their number of tests, so that all workers end at about the same time."""
    dealt: list[list[Path]] = [[] for _ in range(workers)]
    loads = [0] * workers
    counted = [
        (len(re.findall(r"^def test_", path.read_text(encoding="utf-8"), re.M)), path)
        for path in contracts.values()
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
        known = ssh_config(server.environment)
        config.write_text(f"ControlPath {folder}/s\nControlPersist 600\nInclude {known}\n", encoding="utf-8")
        ssh = ["ssh", "-F", str(config), "-o", "BatchMode=yes"]
        opened = process.run([*ssh, "-o", "ControlMaster=yes", server.name, "true"], check=False, timeout=60)
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
        f"--promises={descriptor}",
        f"--hosts=ssh://{server.name}", f"--ssh-config={config}", "--sudo",
        f"--ansible-inventory={hosts_file(server.environment)}",
        *(f"--cannot={limit}" for limit in server.limits),
    ]  # fmt: skip


def _run(
    server: Server, config: Path, contracts: Sequence[Path], number: int, tally: "_Tally"
) -> list[Promise]:
    """One worker: a pytest of its own, read line by line while it works."""
    log = log_dir(server.environment) / f"verification-{number}.log"
    log.unlink(missing_ok=True)
    ours, theirs = os.pipe()
    argv = _argv(server, config, contracts, theirs)
    with process.stream(argv, log=log, cwd=REPO, pass_fds=(theirs,)) as running:
        os.close(theirs)
        with os.fdopen(ours, encoding="utf-8") as lines:
            promises = list(tally.read(lines))
    if running.returncode not in (0, 1):  # 1: some test failed, which its promise says
        raise _unfinished(log)
    return promises


def _unfinished(log: Path) -> HangarError:
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
    return HangarError(
        "The verification did not run to its end.", "\n".join(last), f"Its whole output: {log}"
    )


class _Tally:
    """Reads what the workers write, and counts over all of them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._done = 0
        self._total = 0

    def read(self, lines: Iterable[str]) -> Iterator[Promise]:
        for line in lines:
            said: dict[str, Any] = json.loads(line)
            with self._lock:
                if "count" in said:
                    self._total += said["count"]
                    continue
                promise = Promise(**said)
                self._done += 1
                self._progress(promise.sentence, self._done, max(self._done, self._total))
            yield promise
