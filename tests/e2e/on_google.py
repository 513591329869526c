"""An environment `production` in a clone, on a stand-in for Google Cloud whose instances are containers.

What only a machine of its own shows is broken there, and only that.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from hangar.cloud.startup import FINISHED
from hangar.trust import own_files
from tests.e2e.conftest import LOGS, REPO, Checkout
from tests.google.client import Google

NAME = "hangar-production"
OF_A_CONTAINER = {
    "The clock follows time servers",
    "Containers have bounded memory and processes",
    "Containers are bounded in memory and processes",
    "An editor can watch a large folder",
    "The engine is bounded in memory and processes",
    "The bounds are the kernel's, not only systemd's",
    "A change of an account stands in the audit trail",
    "Every rule is in force, none was left out when the machine started, and every folder of secrets is watched",
    "A container that wants more memory than it may have is ended",
    "A container starts no more processes than it may",
    "Nobody looks into a process that is not a child of their own, be it of the same account; debuggers still work",
    "It is counted which programs ran",
    "The audit trail is written",
    *(
        f"A closed module stays out even for root ({control})"
        for control in ("kernel.file_systems", "kernel.protocols", "kernel.usb")
    ),
    "AppArmor is the kernel's access control, and has profiles in force",
    "Services of ours that run all the time are confined by AppArmor, with every process of theirs",
    "Under the profile of a service not even root reads a password, writes a setting or starts a shell",
    "Not even root looks into the running kernel or loads one into it that nobody signed",
    *(
        f"The kernel's parameters are in force (kernel.{name})"
        for name in ("addresses", "core_dumps", "entries", "faults", "links", "memory", "tracing")
    ),
    *(
        f"The kernel was started with its defences (kernel.{name})"
        for name in ("apparmor", "boot_audit", "boot_memory", "lockdown")
    ),
}
"""What the kernel of the computer that runs the tests decides."""

SHOWN = 8000


@contextmanager
def environment(google: Google, path: Path, **settings: Any) -> Iterator[Checkout]:
    """A clone with the one file that a user edits, and the two variables that lead to the stand-in."""
    subprocess.run(["git", "clone", "-q", str(REPO), str(path)], check=True)
    place = Checkout(path, "production")
    patch = pytest.MonkeyPatch()
    patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.key_file()))
    patch.setenv("HANGAR_ALLOW_API_HOST", "127.0.0.1")
    write(place, google, **settings)
    yield place
    LOGS.mkdir(exist_ok=True)
    for log in (place.state / "log").glob("*.log"):
        shutil.copy(log, LOGS)
    patch.undo()


def write(place: Checkout, google: Google, **more: Any) -> None:
    """platform.yml; what trusts this computer's proxy here is nothing that a real environment needs."""
    place.platform.parent.mkdir(exist_ok=True)
    gcp = {
        "project": google.project, "zone": "europe-west3-a", "machine_type": "e2-standard-4",
        "api_endpoint": google.base_url, "tunnel_endpoint": google.tunnel_url,
    }  # fmt: skip
    settings = {
        "cloud": "gcp", "gcp": gcp, "airflow": {"live_dags": False},
        "trusted_certificates": [str(path) for path in own_files()], **more,
    }  # fmt: skip
    # In lines, as somebody writes it: `people add` changes no file that is one long word.
    place.platform.write_text(yaml.safe_dump(settings, sort_keys=False))


def require_proven(place: Checkout, done: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    """The promises of a run of `up` that held, after making sure that no other is broken than a container's."""
    assert done.returncode == 3, f"{done.stdout[-SHOWN:]}\n{done.stderr[-SHOWN:]}"
    promises = place.report()["promises"]
    broken = {one["sentence"] for one in promises if one["outcome"] == "broken"}
    assert broken <= OF_A_CONTAINER, broken - OF_A_CONTAINER
    return [one for one in promises if one["outcome"] == "held"]


def require_nothing_to_do(place: Checkout) -> None:
    """Neither in the cloud nor on the machine."""
    told = json.loads(place.hangar("plan", "--exit-code", "--json").stdout)
    assert {change["action"] for change in told["machine"]} == {"nothing"}
    assert (told["playbook"]["changed"], told["drift"]) == (0, [])


def require_another_type(place: Checkout, google: Google) -> None:
    """Another machine type is planned with a stop and made: a snapshot first, and the secrets are the same."""
    before = place.ssh("sudo sha256sum /srv/airflow/secrets/fernet_key").stdout
    place.platform.write_text(place.platform.read_text().replace("e2-standard-4", "e2-standard-8"))
    plan = place.hangar("plan", "--exit-code", check=False)
    assert plan.returncode == 4
    assert f"! machine {NAME}: update with a stop" in plan.stdout
    assert "machine type: e2-standard-4 → e2-standard-8" in plan.stdout
    place.hangar("resize", "--yes")
    assert google.resources("instances")[NAME]["machineType"].endswith("/e2-standard-8")
    assert len(google.resources("snapshots")) == 1
    assert place.ssh("sudo sha256sum /srv/airflow/secrets/fernet_key").stdout == before


def require_nothing_left(place: Checkout, google: Google) -> None:
    """But for snapshots, which `destroy` names and leaves, the key of the backups that are in them, and what proves
    these.
    """
    left = {path for path in google.resources() if NAME in path and "/snapshots/" not in path}
    assert left == set()
    assert google.table("serviceAccounts") == {}
    assert google.table("buckets") == {}
    kept = {path.name for path in place.state.glob("*")} - {"backup-newest"}  # where one was made already
    assert kept == (
        {"backup-key", "backup-key.pub", "backup-signers"} if google.resources("snapshots") else set()
    )


def finished(place: Checkout) -> float:
    """When the machine was through its start-up script (time.time: it has this computer's clock)."""
    return float(place.ssh(f"stat -c %.Y {FINISHED}").stdout.replace(",", "."))


def up(place: Checkout) -> tuple[subprocess.CompletedProcess[str], dict[str, float]]:
    """`up --yes`, and the moment (time.time) at which each of its stages ended."""
    argv = ["./provision.py", "up", place.environment, "--yes"]
    with (place.path / "up.err").open("w+") as told:
        process = subprocess.Popen(
            argv, cwd=place.path, stdout=subprocess.PIPE, stderr=told, text=True, stdin=subprocess.DEVNULL
        )
        assert process.stdout is not None
        lines, ended = [], {}
        for line in process.stdout:
            lines.append(line)
            if stage := re.match(r"✓ (\w+) ", line):
                ended[stage[1]] = time.time()
        returncode = process.wait()
        told.seek(0)
        return subprocess.CompletedProcess(argv, returncode, "".join(lines), told.read()), ended
