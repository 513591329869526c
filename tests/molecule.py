"""Run molecule scenarios side by side: ``python -m tests.molecule [SCENARIO …]``.

Each scenario has a machine of its own, so two run at once without meeting. ``molecule test`` would take them one after
the other and spend most of its time waiting for packages.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
AT_ONCE = 2
LONG = ("vm", "default", "airflow", "airbyte", "airbyte_abctl", "ops_agent", "secret_manager")
"""Left to `make test-all`: the first needs many minutes where the processor is emulated, the second is all of site.yml,
which `tests/e2e` applies twice and verifies as the README's own command. So are the two services by themselves, the
longest of the others. `airbyte_abctl` upgrades, kills and removes a platform that few machines are large enough for, in
five minutes. The last two are for machines on Google Cloud. What their programs decide, and what their templates say,
`tests/ansible` and `tests/templates` try in seconds.
"""
LONGEST_FIRST = ("warehouse", "docker_host")


def scenarios() -> list[str]:
    """Every scenario of `make test`, the longer ones first so that they do not run alone at the end."""
    names = sorted({path.parent.name for path in (REPO / "molecule").glob("*/molecule.yml")} - {*LONG})
    return sorted(
        names, key=lambda name: LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)
    )


def run(name: str) -> tuple[str, int, float, Path]:
    """One scenario to its end: create, converge, idempotence, contracts, destroy. The whole output goes to a file."""
    log = Path(tempfile.gettempdir()) / f"hangar-molecule-{name}.log"
    environment = {
        **os.environ,
        "PATH": f"{REPO / '.venv/bin'}:{os.environ['PATH']}",
        "PY_COLORS": "0",
        "NO_COLOR": "1",
    }
    start = time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            ["molecule", "test", "-s", name],
            cwd=REPO, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    return name, done.returncode, time.monotonic() - start, log


def main(names: list[str]) -> int:
    """Print a line for each scenario as it ends, the end of the log for a failed one; exit 1 when any failed."""
    failed = 0
    wanted = names or scenarios()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for future in as_completed([pool.submit(run, name) for name in wanted]):
            name, code, seconds, log = future.result()
            print(f"molecule {name:<16} {'passed' if code == 0 else 'FAILED'} in {seconds:.0f} s", flush=True)
            if code != 0:
                failed += 1
                print(
                    "\n".join(log.read_text(errors="replace").splitlines()[-80:]),
                    f"\nthe whole log: {log}",
                    flush=True,
                )
    print(f"{len(wanted) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
