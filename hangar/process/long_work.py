"""Work of minutes, whose output goes to a log."""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hangar.process import start
from hangar.process.ending import end


@contextlib.contextmanager
def stream(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> Iterator["subprocess.Popen[bytes]"]:
    """Starts long work whose whole output is appended to `log`; yields the running process.

    `env` is added to our environment; a name with None is taken out of it.
    Leaving the block waits for its end. Leaving it by an exception (Ctrl-C) ends the work first, and
    should we be killed the kernel ends it: an orphan must not go on changing the machine.
    """
    with log.open("ab") as output:
        process = start(argv, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd, pass_fds=pass_fds)
        try:
            yield process
            process.wait()
        except BaseException:
            end(process)
            raise
