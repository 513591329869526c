"""The machine's program `backup`, spoken to over SSH, and its spool of encrypted backups."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hangar import paths, process
from hangar.backup import signers
from hangar.backup.records import Backup, parse
from hangar.errors import CommandFailed, HangarError, MachineUnreachable
from hangar.process import pipe
from hangar.ssh import call

UNIT = "hangar-backup.service"
ASKED = 60.0
MADE = 12 * 3600.0
"""Seconds for a backup and for putting one back: a large warehouse takes hours."""

REFUSED = "backup: "
"""What the program puts before the sentence that says why it did not."""


class BackupFailed(HangarError):
    """The machine made no backup, or could not send it to where it is to go."""


@dataclass(frozen=True)
class Spool:
    """What the machine says of its backups. `good` is when the last good one ended (seconds since 1970, 0: never),
    `problem` why the last attempt was none, `next` and `last` when the timer strikes and struck, as it says them,
    `signer` the public key that proves its backups, `made` names the last good one.
    """

    backups: tuple[Backup, ...]
    recipients: tuple[str, ...]
    good: float
    problem: str
    next: str
    last: str
    signer: str = ""
    made: str = ""


class Machine:
    """One environment's machine. Nothing is sent there that reads backups."""

    def __init__(self, environment: str) -> None:
        self.environment = environment
        self.name = f"hangar-{environment}"

    def show(self) -> Spool:
        """What there is. Its key for backups is remembered, and the newest that it has.

        Raises:
            MachineUnreachable: it does not answer.
            HangarError: it makes no backups.
        """
        done = self._ask(["backup", "show"], ASKED)
        if done.returncode != 0:
            raise HangarError(
                f"{self.name} makes no backups.", f"* {done.stderr.strip()}",
                f"Switch them on in platform.yml (backup.enabled), then: ./provision.py up {self.environment}",
            )  # fmt: skip
        found = call.data(self.environment, done)
        known = tuple(one for entry in found["backups"] if (one := parse(entry)))
        signers.remember(self.environment, str(found.get("signer", "")), [one.id for one in known])
        timer = found["timer"]
        return Spool(
            known, tuple(found["recipients"]), float(found["good"]), str(found["problem"]),
            str(timer.get("NextElapseUSecRealtime", "")), str(timer.get("LastTriggerUSec", "")),
            str(found.get("signer", "")), str(found.get("last", "")),
        )  # fmt: skip

    def make(self) -> None:
        """Makes a backup, as the timer does. One that is being made already is waited for.

        Raises:
            BackupFailed: with the reason. What there was before stays.
        """
        done = self._ask(["systemctl", "start", UNIT], MADE)
        if done.returncode != 0:
            problem = self.show().problem or done.stderr.strip()
            raise BackupFailed(
                "The backup failed; earlier ones stay as they are.", f"* {problem}",
                f"See what it says: ./provision.py ssh {self.environment} -- sudo journalctl -n 30 -u {UNIT}",
            )  # fmt: skip

    def public_key(self) -> str:
        """The machine's own key, for the host that takes its backups; "" where there is none."""
        return self._ask(["backup", "key"], ASKED).stdout.strip()

    def get(self, name: str, place: Path, most: int) -> None:
        """An encrypted object, into a file; no more than so many bytes: the machine may be somebody else's by now."""
        try:
            pipe.carry(self._argv(["backup", "send", name]), place, most)
        except CommandFailed as error:
            raise MachineUnreachable(
                f"{name} could not be fetched from {self.name}.", error.details, "Run the same command again."
            ) from error

    def give(self, part: str, source: Sequence[str], given: pipe.Given) -> pipe.Carried:
        """What a program prints (a part, decrypted here) goes to the machine, which keeps it for `put_back`. The object
        was looked at before; one that is another by now fails here, since anybody may encrypt to a public key.
        """
        return pipe.carry(source, self._argv(["backup", "receive", part]), given=given)

    def put_back(self, backup: Backup, given: Mapping[str, pipe.Carried]) -> None:
        """The machine stops its services, takes what was given and starts them again.

        Raises:
            HangarError: it refused, or a step failed; the sentence says how far it came.
        """
        parts = {name: {"bytes": one.bytes, "sha256": one.sha256} for name, one in given.items()}
        wanted = {
            "id": backup.id,
            "parts": parts,
            "numbers": dict(backup.numbers),
            "roles": list(backup.roles),
        }
        done = self._ask(["backup", "restore"], MADE, text=json.dumps(wanted) + "\n")
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            steps = [f"* done: {line}" for line in done.stdout.splitlines()[:-1]]
            raise HangarError(
                f"{self.name} could not put the backup back.",
                "\n".join([*steps, *(f"* {line.removeprefix(REFUSED)}" for line in said[-3:])]),
                f"Mend that, then: ./provision.py backup restore {self.environment} --from {backup.id}",
            )

    def _argv(self, words: Sequence[str]) -> list[str]:
        return call.as_root(paths.ssh_config(self.environment), self.name, words)

    def _ask(self, words: Sequence[str], seconds: float, text: str = "") -> process.Completed:
        return call.ask(self.environment, words, seconds=seconds, input=text)
