"""The machine's end of the verification: runs a contract's commands as root, one after the other."""

import base64
import contextlib
import os
import signal
import subprocess
from typing import Any

from hangar.serving import Refusal, answered, serve


class Agent:
    """A shell command in, its exit status and output out."""

    def run(self, command: str, seconds: float) -> dict[str, Any]:
        """Runs it with nothing to read. The output is whatever bytes it wrote.

        What has not ended after so many seconds is killed, and so is whatever it left behind that still writes: a
        contract that waits for ever would have `up` wait for ever.
        """
        shell = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            said = shell.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.kill()
            raise Refusal(
                "late", f"it did not end within {seconds:g} seconds and was killed: {command}"
            ) from None
        out, err = (base64.b64encode(one).decode() for one in said)
        return {"status": shell.returncode, "out": out, "err": err}

    def answer(self, line: str) -> dict[str, Any]:
        return answered(self, ("run",), line)


if __name__ == "__main__":
    serve(Agent())
