"""The machine's end of `upgrade`: says what runs, keeps tasks from beginning, upgrades Debian's packages, keeps what
was there before, puts it back.

The controller sends this text over SSH and root's python3 runs it (standard library, what is in `remote`, and the
modules of the role maintenance that drain). Each step may be repeated.
"""

import errno
import fcntl
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from hangar_maintenance import draining, program
from hangar_maintenance.airflow import Airflow, Unreachable

from hangar.serving import Refusal, answered, serve
from hangar.upgrade.remote import keeping, looking
from hangar.upgrade.remote.running import CONTAINERS, SRV, WORKED, described, installed, recipe, run, why

LOCK = Path("/srv/maintenance/lock")
RESUME = Path("/usr/local/sbin/maintenance")
HOLD = "hangar-upgrade-hold"
"""The unit that lets tasks begin again after us, however we end."""

APT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "LC_ALL": "C.UTF-8"}
APT_OPTIONS = (
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "--with-new-pkgs",
    # Somebody may have begun since we looked (see `wait_for_others`).
    "-o", "DPkg::Lock::Timeout=300",
)  # fmt: skip
"""Settings that a role wrote stay; what is needed in addition comes, nothing is removed but old kernels."""

KERNELS = re.compile(r"^Remv (linux-(?:image|headers|kbuild)-[0-9]\S*) ", re.M)
"""What belongs to one kernel, among what apt would remove since nothing needs it. It needs the kernel that runs and
the two newest.
"""


FRONTEND = Path("/var/lib/dpkg/lock-frontend")
"""Whoever installs packages holds this lock (of POSIX's kind, as apt and dpkg do) from its beginning to its end."""

OTHERS, LOOK_EVERY = 1800.0, 1.0
"""Seconds that another installation is waited for (the night's updates, say), and between two looks."""


class Agent:
    """One request, one answer. It holds the lock of the machine's own maintenance while it lives."""

    def __init__(self) -> None:
        self._lock: IO[str] | None = None
        self._since = 0.0

    def answer(self, line: str) -> dict[str, Any]:
        operations = ("look", "drain", "busy", "keep", "packages", "undo", "release", "done")
        return answered(self, operations, line)

    def look(self) -> dict[str, Any]:
        """What the machine has. Debian's lists are fetched, as the machine does every day; nothing else changes."""
        # Alone it calls it a success where a mirror does not answer, and goes on with old lists.
        every = ["-o", "APT::Update::Error-Mode=any"]
        fetched = run(
            ["apt-get", "--quiet", "--quiet", *every, "update"], check=False, env=APT, seconds=WORKED
        )
        simulated = run(
            ["apt-get", "--simulate", *APT_OPTIONS, "upgrade"], check=False, env=APT, seconds=WORKED
        )
        return {
            "simulated": simulated.stdout,
            "apt_problem": why(fetched),
            "apt_refusal": why(simulated),
            "revision": str(described().get("revision", "")),
            "drains": RESUME.exists(),
            "services": {user: looking.service(user) for user in CONTAINERS if recipe(user)},
            "postgres": dict(looking.postgres()),
            "chart": str(looking.abctl().get("chart", "")),
            "platform": looking.platform(),
            "lint": looking.lint(),
            "reboot": Path("/run/reboot-required").exists(),
            "cut": looking.cut(),
        }

    def drain(self, hold: int, again: bool) -> None:
        """No task begins from now on. However we end, they begin again `hold` seconds after it at the latest, and at
        once when the machine starts anew. `again`: none begins since an earlier call, and Airflow need not answer.

        Raises:
            Refusal: the machine's own maintenance is at work, a backup does not end, or Airflow did not do what it was
                asked.
        """
        LOCK.parent.mkdir(mode=0o700, exist_ok=True)
        if self._lock is None:
            self._lock = LOCK.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(
                "busy",
                "maintenance is at work (journalctl -u hangar-maintenance), or an upgrade whose call was killed",
            ) from None
        run(["systemctl", "stop", f"{HOLD}.service"], check=False)
        # That unit tries again until Airflow answers.
        script = f"flock {LOCK} true; sleep {hold}; exec systemctl start hangar-resume.service"
        run(["systemd-run", "--quiet", "--collect", f"--unit={HOLD}", "/bin/sh", "-c", script])
        self._since = time.time()
        airflow = its_airflow()
        if airflow and not again:
            wait_for_backup()
            answering(lambda: draining.begin(airflow))

    def busy(self) -> list[str]:
        """What is still at work, in words; empty when nothing is."""
        try:
            return list(program.busy(its_airflow(), bool(described().get("airbyte")), self._since)())
        except (Unreachable, program.figures.Unknown) as problem:
            return [str(problem)]

    def release(self, patience: float) -> None:
        """Tasks begin again, now. Airflow gets `patience` seconds to answer."""
        if airflow := its_airflow():
            answering(lambda: draining.end(airflow, patience=patience))
        run(["systemctl", "stop", f"{HOLD}.service"], check=False)

    def keep(self, broken: list[str]) -> None:
        """A copy of what an upgrade may have to be undone with."""
        keeping.keep(broken)

    def packages(self, docker: list[str]) -> list[list[str]]:
        """Upgrades Debian's packages and starts anew what still runs old ones: the warehouse, and the daemons where one
        of `docker` is among them. Returns name, old and new version of each.
        """
        wait_for_others()
        before = installed()
        # What a power cut left half installed is finished first.
        run(
            ["dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"],
            env=APT,
            seconds=WORKED,
        )
        # Where Debian's own updates are switched off nobody else does it, and a kernel without room in /boot fails.
        remove_old_kernels()
        run(["apt-get", "--quiet", "--yes", *APT_OPTIONS, "upgrade"], env=APT, seconds=WORKED)
        after = installed()
        changed = [
            [name, before.get(name, ""), after[name]]
            for name in sorted(after)
            if after[name] != before.get(name)
        ]
        names = {name for name, _, _ in changed}
        if any(name.startswith("postgresql-") for name in names):
            run(["systemctl", "try-restart", "warehouse.service"])
        if names & set(docker):
            run(["docker-hosts", "reload"], seconds=WORKED)
            run(["docker-hosts", "ensure"], seconds=WORKED)
            for user in CONTAINERS:
                if recipe(user):
                    run(["as-service", user, str(SRV / user / "stack/ensure")], seconds=WORKED)
        if changed:
            run(["maintenance", "renew"], check=False, seconds=WORKED)
        return changed

    def undo(self) -> list[str]:
        """Puts back what was kept; returns what was done, in words."""
        return keeping.put_back()

    def done(self) -> None:
        """What was kept is needed no more."""
        keeping.forget()


def remove_old_kernels() -> None:
    """Nothing else that apt counts as unneeded goes with them. Where it cannot be done, the upgrade tells of it."""
    told = run(["apt-get", "--simulate", "--quiet", "autoremove"], check=False, env=APT, seconds=WORKED)
    if old := KERNELS.findall(told.stdout):
        run(["apt-get", "--quiet", "--yes", "remove", *old], check=False, env=APT, seconds=WORKED)


def its_airflow() -> Airflow | None:
    port = described().get("airflow")
    return Airflow(port) if port else None


def wait_for_others() -> None:
    """Returns once nobody else installs packages.

    Raises:
        Refusal: somebody still does.
    """
    _wait(lambda: is_held(FRONTEND), "somebody else has been installing packages", f"fuser -v {FRONTEND}")


def wait_for_backup() -> None:
    """Returns once no backup is being made: half of it would be of pools without slots, and not of how many they had.

    Raises:
        Refusal: one still is.
    """
    _wait(
        lambda: program.is_at_work(program.BACKUP), "a backup has been at work", "journalctl -u hangar-backup"
    )


def _wait(is_at_work: Callable[[], bool], who: str, look: str) -> None:
    """`who` says what has been going on when it did not end, `look` is the command that shows it."""
    latest = time.monotonic() + OTHERS
    while is_at_work():
        if time.monotonic() > latest:
            raise Refusal("busy", f"{who} for {OTHERS / 60:g} minutes: {look}")
        time.sleep(LOOK_EVERY)


def is_held(lock: Path) -> bool:
    """Whether another program holds this lock of apt's or dpkg's. One whose file is not there is free."""
    try:
        with lock.open("r+") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return True
        raise
    return False


def answering(call: Callable[[], object]) -> None:
    try:
        call()
    except Unreachable as problem:
        raise Refusal("silent", str(problem)) from None


if __name__ == "__main__":
    serve(Agent())
