# Written by Hangar (role airbyte_abctl). Changes made here are lost at the next run.
"""Install, upgrade, take up again, back up and remove the platform; each is begun on record and ended on record."""

import contextlib
import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hangar_bounds import Unbounded, run

from hangar_abctl import credentials, names, passed
from hangar_abctl.decision import Decision, Found, decide
from hangar_abctl.machine import (
    AUTH_SECRET,
    DATA,
    FOLDER,
    INSTALL_UNIT,
    NAMESPACE,
    NODE,
    STATE,
    UNIT,
    WORKED,
    Api,
    as_airbyte,
    complaint,
    deployed,
    drop_record,
    fail,
    kubectl,
    node,
    read_record,
    said,
    wanted,
    write_record,
)

BACKUPS = Path("/srv/airbyte/backups")
LOG_LINES = 15
INSIDE = str(FOLDER / "inside")


def found(allowed: frozenset[str]) -> Found:
    """Everything that the decision rests on. Kubernetes is asked only where something was interrupted."""
    described, state, begun = wanted(), node(), read_record("begun.json")
    working = as_airbyte("systemctl", "--user", "is-active", INSTALL_UNIT).stdout.strip() == "activating"
    healthy = state == "running" and not working and Api(described["port"]).healthy()
    return Found(
        wanted=described,
        node=state,
        data=(DATA / "airbyte-volume-db/pgdata").exists(),
        deployed=deployed() if begun and state == "running" and not working else "",
        healthy=healthy,
        working=working,
        begun=begun,
        installed=read_record("installed.json"),
        kept=read_record("kept.json"),
        allowed=allowed,
    )


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One of us at a time; a second one says so instead of waiting half an hour in silence."""
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail("another call is at work on Airbyte here; wait for it, then run the same command again")
        yield


def apply(allowed: frozenset[str]) -> None:
    """Bring the platform to what is described, as far as that is allowed."""
    with alone():
        situation = found(allowed)
        if not situation.working:
            # A call that died while abctl went on has left them there. Nobody reads them any more.
            passed.remove_secret_files(situation.begun or situation.wanted)
        decision = decide(situation)
        match decision.word:
            case "refuse":
                fail(decision.why)
            case "adopt":
                settle(dict(situation.begun or {}))
            case "wait":
                run_installer(dict(situation.begun or situation.wanted))
            case "install" | "upgrade" | "resume":
                if decision.word == "upgrade":
                    backup()
                # First: one that is missing leaves no beginning on record.
                passed.write_secret_files(situation.wanted)
                write_record("begun.json", situation.wanted)
                run_installer(situation.wanted)
            case _:
                start(situation.wanted)


def run_installer(described: dict[str, Any]) -> None:
    """Start abctl in a unit of its own, or join one that runs: it goes on although whoever called us is gone."""
    as_airbyte("systemctl", "--user", "daemon-reload")
    done = as_airbyte("systemctl", "--user", "start", INSTALL_UNIT, seconds=WORKED)
    passed.remove_secret_files(described)
    if done.returncode != 0:
        fail(
            f"abctl did not install Airbyte {described['chart']}. The end of what it said:\n{installer_log()}"
        )
    settle(described)


def settle(described: dict[str, object]) -> None:
    """What follows a whole installation; the record is the last thing."""
    if (chart := deployed()) != described["chart"]:
        fail(f"abctl ended well, but Airbyte {chart or '(none)'} is deployed instead of {described['chart']}")
    names.teach()
    write_record("installed.json", described)
    drop_record("kept.json")
    drop_record("begun.json")
    start(described)


def start(described: dict[str, object]) -> None:
    """The node's container runs and the API answers."""
    as_airbyte("systemctl", "--user", "daemon-reload")
    done = as_airbyte("systemctl", "--user", "start", UNIT, seconds=WORKED)
    if done.returncode != 0:
        fail(f"The cluster's node does not start: {said(done)}")
    if node() != "running":
        # The unit stands as it was left; its container does not.
        as_airbyte("systemctl", "--user", "restart", UNIT, seconds=WORKED)
    api = Api(int(str(described["port"])))
    deadline = time.monotonic() + 600  # a cluster that was off pulls itself together for some minutes
    while not api.healthy():
        if time.monotonic() > deadline:
            fail(
                "Airbyte's cluster runs, but its API has not answered for 10 minutes: sudo airbyte-abctl status"
            )
        time.sleep(1)


def installer_log() -> str:
    shown = subprocess.run(
        ["journalctl", "--no-pager", "--quiet", "--output", "cat", f"--lines={LOG_LINES}",
         f"_SYSTEMD_USER_UNIT={INSTALL_UNIT}"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    return shown.stdout.strip() or f"nothing; journalctl _SYSTEMD_USER_UNIT={INSTALL_UNIT}"


def backup() -> Path:
    """The database and the platform's own credentials, for root alone. Raises SystemExit when either is missing."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = BACKUPS / f"{stamp}-{(read_record('installed.json') or wanted())['chart']}"
    folder.mkdir(mode=0o700, parents=True)
    BACKUPS.chmod(0o700)
    secret = kubectl("--namespace", NAMESPACE, "get", "secret", AUTH_SECRET, "--output", "json")
    if secret.returncode != 0:
        fail(f"No backup: Airbyte's credentials cannot be read: {complaint(secret)}")
    (folder / "credentials.json").write_text(json.dumps(json.loads(secret.stdout)["data"]))
    if not wanted()["external_database"]:
        dump(folder / "database.sql.gz")
    for file in folder.iterdir():
        file.chmod(0o600)
    return folder


def dump(target: Path) -> None:
    argv = [
        "as-service", "airbyte", "docker", "exec", NODE, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf",
        "--namespace", NAMESPACE, "exec", "airbyte-db-0", "--", "pg_dumpall", "--username", "airbyte",
    ]  # fmt: skip
    piped = ["bash", "-o", "pipefail", "-c", '"$@" | gzip', "dump"]
    try:
        with target.open("xb") as packed:
            done = run([*piped, *argv], seconds=WORKED, sink=packed)
        problem = f"ended with {done.returncode}: {said(done)}" if done.returncode else ""
    except Unbounded as unbounded:
        problem = str(unbounded)
    if problem:
        target.unlink()
        fail(f"No backup: pg_dumpall in the pod airbyte-db-0 {problem}")


def uninstall(*, data: bool) -> None:
    """Take the cluster away; with `data` everything that Airbyte ever kept here, backups excepted."""
    with alone():
        as_airbyte("systemctl", "--user", "stop", INSTALL_UNIT, UNIT, seconds=WORKED)
        for name in ("installed.json", "begun.json"):
            passed.remove_secret_files(read_record(name) or {})
        if node() != "absent":
            done = as_airbyte(
                INSIDE, "local", "uninstall", *(["--persisted"] if data else []), seconds=WORKED
            )
            if done.returncode != 0 or node() != "absent":
                fail(f"abctl did not remove its cluster: {said(done)}")
        last = read_record("installed.json") or read_record("begun.json")
        if data:
            # Its files belong to sub-ids, whose root the service user is inside its own namespace only.
            done = as_airbyte(INSIDE, "--run", "rm", "-rf", str(DATA.parent), seconds=WORKED)
            if done.returncode != 0 or DATA.parent.exists():
                fail(f"{DATA.parent} could not be removed: {said(done)}")
            drop_record("kept.json")
        elif last:
            write_record("kept.json", last)
        for name in ("installed.json", "begun.json", *credentials.RECORDS):
            drop_record(name)


def look(allowed: frozenset[str]) -> list[str]:
    """What is to be done, a line each: `install`, `start` and so on, or `refuse` with the reason."""
    decision: Decision = decide(found(allowed))
    if decision.word == "refuse":
        return [f"refuse {decision.why}"]
    return [] if decision.word == "nothing" else [decision.word]


def filter_look() -> list[str]:
    """What the filter in front of the platform lacks."""
    if not os.access("/usr/sbin/haproxy", os.X_OK):
        return ["package", "filter"]
    active = subprocess.run(
        ["systemctl", "is-active", "--quiet", "airbyte-filter.service"], check=False
    ).returncode
    return [] if active == 0 else ["filter"]
