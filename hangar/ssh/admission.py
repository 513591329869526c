"""Would the machine let this key in? Asked by a login attempt that needs no private key.

An SSH client may ask the server whether it would accept a public key before it signs anything. OpenSSH does so when it
has only the public half; then it cannot sign, so nobody is ever logged in by this.
"""

import re
import tempfile
import time
from pathlib import Path

from hangar import paths, process
from hangar.config.public_keys import parse
from hangar.errors import MachineUnreachable
from hangar.ssh.call import PENALTY

ACCEPTED = re.compile(r"^debug1: Server accepts key: .* (SHA256:\S+)", re.MULTILINE)
TIMEOUT = 30.0

PATIENCE = 60.0
"""Seconds that a penalty is waited for. OpenSSH's own adds 5 s a failed login and turns away from 15 s on, so each of
ours costs no more than that; more has another cause.
"""

PAUSE = 1.0
"""Seconds between two looks at whether it is over."""


def is_admitted(environment: str, account: str, key: str) -> bool:
    """Whether the server would let this account in by this key (a line as in a .pub file).

    Each no is a failed login to the server. Where this computer's address is not exempt from its penalties, several in
    a row make it wait: that is waited for.

    Raises:
        MachineUnreachable: the server did not get as far as to say.
    """
    with tempfile.TemporaryDirectory(prefix="hangar-") as folder:
        public = Path(folder) / "key.pub"
        public.write_text(f"{key}\n", encoding="utf-8")
        argv = [
            "ssh", "-v", "-F", str(paths.ssh_config(environment)), "-T", "-S", "none", "-l", account, "-i", str(public),
            "-o", "BatchMode=yes", "-o", "IdentityAgent=none", f"hangar-{environment}", "true",
        ]  # fmt: skip
        until = time.monotonic() + PATIENCE
        while PENALTY in (done := process.bounded(argv, input="", check=False, timeout=TIMEOUT)).stderr:
            if time.monotonic() > until:
                break
            time.sleep(PAUSE)
    if parse(key).fingerprint in ACCEPTED.findall(done.stderr):
        return True
    if "Permission denied (publickey)" in done.stderr or done.returncode == 0:
        return False
    if PENALTY in done.stderr:
        raise MachineUnreachable(
            f"hangar-{environment} turns this computer away for logins that failed.",
            f"Waited {PATIENCE:.0f} s for sshd's penalty (PerSourcePenalties) to pass.",
            "Run the same again in ten minutes: no penalty lasts longer.",
        )
    said = [line for line in done.stderr.splitlines() if not line.startswith("debug1:")]
    raise MachineUnreachable(
        f"hangar-{environment} does not say whom it lets in.",
        "\n".join(said[-3:]),
        f"See whether it can be reached: ./provision.py ssh {environment}",
    )
