# Written by Hangar (role airbyte_abctl). Changes made here are lost at the next run.
"""What root asks of Airbyte's cluster: its node's container, Kubernetes inside of it, the API on the port.

Kubernetes is asked inside the node, so that no port and no kubeconfig of the cluster is needed outside.
"""

import base64
import contextlib
import http.client
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from hangar_bounds import Unbounded, run, web, whole

FOLDER = Path("/srv/airbyte/abctl")
STATE = FOLDER / "state"
DATA = Path("/srv/airbyte/home/.airbyte/abctl/data")
"""abctl's own choice: it follows the home of whoever runs it and cannot be moved."""

NODE = "airbyte-abctl-control-plane"
NAMESPACE = "airbyte-abctl"
RELEASE = "airbyte-abctl"
AUTH_SECRET = "airbyte-auth-secrets"
INSTALL_UNIT = "airbyte-abctl-install.service"
UNIT = "airbyte-abctl.service"
ASKED, ANSWERED, WORKED = 20, 300.0, 2 * 3600.0
"""Seconds for an answer of Airbyte's, for one of its daemon's or its cluster's, and for work of theirs: abctl's unit
gives up after 70 minutes.
"""


def fail(text: str) -> Any:
    """Ends the program with a sentence for whoever reads Ansible's output."""
    sys.exit(text)


def wanted() -> dict[str, Any]:
    """What the role describes: chart, port, the values' checksum, the archive's."""
    return dict(json.loads((FOLDER / "wanted.json").read_text()))


def as_airbyte(
    *argv: str, given: str | None = None, seconds: float = ANSWERED
) -> "subprocess.CompletedProcess[str]":
    """Run something as the service user, with its Docker daemon and its user manager in reach. Whoever rules those does
    not hold us up for longer than that, and gives us no more than fits: the program ends with a sentence.
    """
    try:
        return run(["as-service", "airbyte", *argv], seconds=seconds, text=given or "")
    except Unbounded as problem:
        return fail(f"as-service airbyte {' '.join(argv[:4])}: {problem}")


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The last words of a command that failed."""
    lines = (done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()
    return "\n".join(lines[-10:])


def complaint(done: "subprocess.CompletedProcess[str]") -> str:
    """The same of a command that prints secrets: what it printed is none of it."""
    return "\n".join(done.stderr.strip().splitlines()[-10:]) or f"exit {done.returncode}"


def node() -> str:
    """`absent`, `running`, or what else Docker says of the node's container."""
    found = as_airbyte(
        "docker", "container", "ls", "--all", "--filter", f"name=^{NODE}$", "--format", "{{.State}}"
    )
    if found.returncode != 0:
        fail(f"Airbyte's Docker daemon does not answer: {said(found)}")
    return found.stdout.strip() or "absent"


def kubectl(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    # The node's image brings kubectl and the cluster's own administrator.
    opened = ["docker", "exec", *(["--interactive"] if given is not None else []), NODE]
    return as_airbyte(
        *opened, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", *arguments, given=given
    )


def auth_secret() -> dict[str, str]:
    """The platform's own credentials. `abctl local credentials` prints prose; this is where it reads them."""
    found = kubectl("--namespace", NAMESPACE, "get", "secret", AUTH_SECRET, "--output", "json")
    if found.returncode != 0:
        fail(f"Airbyte's credentials cannot be read: {complaint(found)}")
    return {key: base64.b64decode(value).decode() for key, value in json.loads(found.stdout)["data"].items()}


def deployed() -> str:
    """The chart that is deployed whole, or nothing: a release that was interrupted stays `pending`."""
    states = kubectl(
        "--namespace", NAMESPACE, "get", "secrets", "--selector", f"owner=helm,name={RELEASE}",
        "--output", "jsonpath={.items[*].metadata.labels.status}",
    )  # fmt: skip
    if states.returncode != 0 or "deployed" not in states.stdout or "pending" in states.stdout:
        return ""
    label = kubectl(
        "--namespace", NAMESPACE, "get", "deployment", f"{RELEASE}-server",
        "--output", r"jsonpath={.metadata.labels.helm\.sh/chart}",
    )  # fmt: skip
    return label.stdout.strip().removeprefix("airbyte-") if label.returncode == 0 else ""


class Api:
    """Airbyte's public API on the machine's loopback."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}/api/public/v1"
        self._open = web().open

    def healthy(self) -> bool:
        return self.ask("GET", "/health")[0] == 200

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """Status and content; status 0 where nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with self._answered(request) as answer:
                text, status = whole(answer, ASKED).decode(errors="replace"), answer.status
        except (OSError, http.client.HTTPException):
            return 0, None
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def _answered(self, request: urllib.request.Request) -> Any:
        """One that says no is an answer too."""
        try:
            return self._open(request, timeout=ASKED)
        except urllib.error.HTTPError as error:
            return error

    def token(self, client_id: str, client_secret: str) -> str:
        """A token for these credentials, or nothing where they are refused."""
        given = {"client_id": client_id, "client_secret": client_secret, "grant_type": "client_credentials"}
        status, answer = self.ask("POST", "/applications/token", given)
        return str(answer["access_token"]) if status == 200 and isinstance(answer, dict) else ""


def read_record(name: str) -> dict[str, Any] | None:
    path = STATE / name
    return dict(json.loads(path.read_text())) if path.exists() else None


def write_record(name: str, content: dict[str, Any]) -> None:
    """Whole or not at all, for root alone: what Helm is given stands in it."""
    path = STATE / name
    fresh = path.with_name(f".{name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(content, stream, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(descriptor)
    fresh.rename(path)


def drop_record(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        (STATE / name).unlink()
