"""One change at a time, across computers: an object that only one call can create, in a bucket of the project."""

import getpass
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from hangar import console
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import Conflict, GoogleRefused, NotThere
from hangar.cloud.gcp.names import Names
from hangar.errors import CloudError, LockHeld

Holder = dict[str, object]

TRIES = 4
"""The bucket may have to be made, and a dead call's lock taken over, while others try the same."""

NEVER_THERE = "0"
"""The generation that an object has when there is none."""

TAKEN = "is not available"
"""In Google's words for a bucket's name that another project has; of one that is ours it says that we own it."""


class Lock:
    """The lock of one environment. `forget_bucket` removes the bucket too when the lock is let go, if it is empty."""

    def __init__(self, api: Api, names: Names, bucket: str | None = None) -> None:
        self._rest, self._names, self._bucket = api.rest, names, bucket or names.bucket
        self.forget_bucket = False

    @property
    def _object(self) -> str:
        return f"b/{self._bucket}/o/{quote(self._names.environment, safe='')}"

    @contextmanager
    def held(self, command: str, *, break_lock: bool) -> Iterator[None]:
        """Raises LockHeld if another call has it; says which, whose and since when. CloudError if its bucket is a
        stranger's.
        """
        self._require_ours()
        generation = self._take(command, break_lock=break_lock)
        try:
            yield
        finally:
            self._let_go(generation)

    def _take(self, command: str, *, break_lock: bool) -> str:
        mine = {**_ourselves(), "command": command, "since": time.time(), "call": str(uuid.uuid4())}
        match = self._generation() if break_lock else NEVER_THERE
        for _ in range(TRIES):
            try:
                return self._write(mine, match)
            except NotThere:
                with suppress(Conflict):  # a colleague's call made it at the same moment
                    self._make_bucket()
            except Conflict:
                match, is_ours = self._judge(mine)
                if is_ours:
                    return match
        raise CloudError(
            f"The lock of {self._names.environment} keeps changing hands.",
            f"* It is the object {self._names.environment} of the bucket {self._bucket}.",
            "Run the same command again.",
        )

    def _write(self, mine: Holder, match: str) -> str:
        made = self._rest.call(
            "POST", "upload", f"b/{self._bucket}/o", content=json.dumps(mine).encode(),
            params={"uploadType": "media", "name": self._names.environment, "ifGenerationMatch": match},
        )  # fmt: skip
        return str(made["generation"])

    def _judge(self, mine: Holder) -> tuple[str, bool]:
        """The lock's generation, and whether it is ours after all (the answer to our first try was lost). One whose
        call is dead may be taken over.

        Raises:
            LockHeld: somebody is at work.
        """
        generation = self._generation()
        try:
            holder = json.loads(self._rest.content(self._object))
        except NotThere:
            return NEVER_THERE, False
        except ValueError:
            holder = None
        if not isinstance(holder, dict):
            holder = {}  # somebody else wrote it: nobody knows of a call that is dead
        if holder.get("call") == mine["call"]:
            return generation, True
        if not _is_dead(holder):
            raise _taken(self._names.environment, holder)
        console.note(
            f"the call `{holder.get('command')}` was killed and left its lock; this one takes it over."
        )
        return generation, False

    def _generation(self) -> str:
        found = self._rest.find("storage", self._object)
        return str(found["generation"]) if found else NEVER_THERE

    def _make_bucket(self) -> None:
        """Closed to the public, and readable by nobody who is not named in the project's policy."""
        body = {
            "name": self._bucket,
            "location": self._names.region,
            "labels": {"hangar": "locks"},
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": True},
                "publicAccessPrevention": "enforced",
            },
        }
        self._rest.call("POST", "storage", "b", body, {"project": self._names.project})

    def _require_ours(self) -> None:
        """The bucket's name is one for the whole world, and easily guessed: a stranger who took it, and let everybody
        write there, would learn who is at work and say when. Only who tries to make it is told whose it is: a look is
        refused for a stranger's as for one of ours that we may not read.

        Raises:
            CloudError: another project has it.
        """
        try:
            self._make_bucket()
        except GoogleRefused as refused:
            if isinstance(refused, Conflict) and TAKEN in refused.details:
                raise self._strangers(refused) from refused
            # It is there, or we may not make one. What may be written there, the writing tells.

    def _strangers(self, refused: GoogleRefused) -> CloudError:
        name, env = self._bucket, self._names.environment
        return CloudError(
            f"The bucket {name}, which would hold the lock, belongs to somebody else.",
            "* The name of a bucket is one for the whole world, and another project has taken this one."
            f"\n{refused.details}",
            "Choose another name, with something in it that nobody guesses: gcp.lock_bucket in the platform.yml of"
            f" {env}.",
        )

    def _let_go(self, generation: str) -> None:
        try:
            self._rest.call("DELETE", "storage", self._object, params={"ifGenerationMatch": generation})
        except Conflict:
            console.warn("somebody took the lock away while this call was at work (--break-lock).")
        except NotThere:
            console.warn(
                "the lock was gone already: Google's answer to letting it go was lost, or somebody took it away while"
                " this call was at work (--break-lock)."
            )
        except CloudError as error:
            # Whatever it is (no network, a login that has ended): what the call itself came to is what counts.
            console.warn(f"the lock could not be let go: {error.brief} The next call needs --break-lock.")
        if self.forget_bucket:
            self._remove_bucket()

    def _remove_bucket(self) -> None:
        # Another environment of the project may hold a lock in it.
        with suppress(CloudError):
            self._rest.call("DELETE", "storage", f"b/{self._bucket}")


PROCESSES, STARTED = Path("/proc/self/ns/pid"), Path("/proc/sys/kernel/random/boot_id")
"""Linux: the names that it gives to a container's own numbers of processes, and to its own last start."""


def _ourselves() -> Holder:
    """`computer` is where a process's number says whether it lives: two containers may have one name and one network
    card's address, on two computers even (a runner of CI, a folder's container in an editor), and numbers of their own.
    """
    name = socket.gethostname()
    parts = [name, f"{uuid.getnode():012x}"]
    with suppress(OSError):  # another system; its containers are machines of their own
        parts += [STARTED.read_text(encoding="ascii").strip(), str(PROCESSES.readlink())]
    return {
        "who": f"{_user()}@{name}",
        "computer": "/".join(parts),
        "process": os.getpid(),
    }


def _user() -> str:
    """By name; a container may run as a number that has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _is_dead(holder: Holder) -> bool:
    """Whether the call was one of this computer's whose process is gone. Of other computers nobody knows."""
    process = holder.get("process")
    if holder.get("computer") != _ourselves()["computer"] or not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _taken(environment: str, holder: Holder) -> LockHeld:
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(str(holder["since"]))))
        details = f"* Held by {holder['who']} since {since}: {holder['command']}"
    except (KeyError, ValueError, OverflowError, OSError):
        details = "* It does not say by whom."
    return LockHeld(
        f"Somebody else is at work on the environment {environment}.",
        details,
        "Wait for it. If that call is dead (killed, or its computer is off), add --break-lock.",
    )
