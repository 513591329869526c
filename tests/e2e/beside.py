"""All of this folder, what has a machine of its own beside the rest: ``python -m tests.e2e.beside [PYTEST OPTIONS]``.

The files often only wait for a machine. Which waits for which stands in `conftest.AFTER`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.conftest import AFTER, TURNS

HERE = Path(__file__).parent
ASIDE = HERE / "test_google_cloud.py"


def main(options: list[str]) -> int:
    """0 when both parts passed. What the second one says comes when it has ended."""
    with tempfile.TemporaryDirectory(prefix="hangar-") as turns, tempfile.TemporaryFile("w+") as said:
        environment = {**os.environ, TURNS: turns}
        argv = [sys.executable, "-m", "pytest", "-q", *options]
        aside = subprocess.Popen([*argv, str(ASIDE)], env=environment, stdout=said, stderr=subprocess.STDOUT)
        code = subprocess.run(
            [*argv, str(HERE), f"--ignore={ASIDE}"], env=environment, check=False
        ).returncode
        # Whatever became of the first part, nobody waits for it any more.
        (Path(turns) / AFTER[ASIDE.name]).touch()
        code = aside.wait() or code
        said.seek(0)
        print(said.read(), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
