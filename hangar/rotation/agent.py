"""The machine's end of `rotate`: runs the steps as root, and tries the old secret and the new one.

The controller sends this text over SSH and root's python3 runs it (standard library alone). No secret leaves the
machine: the old one is remembered in this process until the proof.
"""

import base64
import contextlib
import http.client
import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from hangar_bounds import run as bounded
from hangar_bounds import web, whole

from hangar.serving import Refusal, answered, serve

AIRFLOW = Path("/srv/airflow/secrets")
WAREHOUSE = Path("/srv/warehouse/secrets")
MONITORING = Path("/srv/monitoring/secrets")
COMPOSE = ["as-service", "airflow", "docker", "compose", "--project-directory", "/srv/airflow/stack"]
SECONDS = 30
STEP_SECONDS = 900
"""A restart of all of Airflow on a busy machine takes minutes."""


def ask(url: str, body: Any = None, token: str = "", login: str = "") -> tuple[int, Any]:
    """Status and data of an answer; POST where there is a body. `login` is USER:PASSWORD."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    # They are on this machine: no proxy of the environment has a part in it.
    opened = web().open
    try:
        with opened(urllib.request.Request(url, data=data, headers=headers), timeout=SECONDS) as answer:
            return answer.status, json.loads(whole(answer, SECONDS) or b"null")
    except urllib.error.HTTPError as error:
        return error.code, None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Refusal("unproven", f"{url}: {getattr(error, 'reason', error)}") from None


def judged(status: int, what: str) -> bool:
    """Whether a log-in was let in. Any answer but yes and no proves nothing."""
    if 200 <= status < 300:
        return True
    if status in (400, 401, 403):
        return False
    raise Refusal("unproven", f"{what} answers {status}")


class Airbyte:
    """A client's secret, tried by asking for a token."""

    def __init__(self, folder: str, port: int) -> None:
        self._folder = Path(folder)
        self._url = f"http://127.0.0.1:{port}/api/public/v1/applications/token"

    def secret(self) -> str:
        return (self._folder / "airbyte_client_secret").read_text().strip()

    def accepts(self, secret: str) -> bool:
        client = (self._folder / "airbyte_client_id").read_text().strip()
        asked = {"client_id": client, "client_secret": secret, "grant_type": "client_credentials"}
        return judged(ask(self._url, asked)[0], "Airbyte")


class Login:
    """The administrator's password, tried by a log-in."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def secret(self) -> str:
        return (AIRFLOW / "admin_password").read_text().strip()

    def accepts(self, secret: str) -> bool:
        return judged(self.login(secret)[0], "Airflow")

    def login(self, password: str) -> tuple[int, Any]:
        return ask(f"{self.url}/auth/token", {"username": "admin", "password": password})


class Token:
    """The signing keys, tried by a token of each."""

    def __init__(self, port: int) -> None:
        self._login = Login(port)

    def secret(self) -> str:
        status, answer = self._login.login(self._login.secret())
        if not judged(status, "Airflow"):
            raise Refusal("unproven", "Airflow does not let its administrator in")
        return str(answer["access_token"])

    def accepts(self, secret: str) -> bool:
        return judged(ask(f"{self._login.url}/api/v2/dags?limit=1", token=secret)[0], "Airflow")


class Warehouse:
    """A role's password, tried by a session."""

    def __init__(self, role: str, port: int) -> None:
        self._role = role
        self._port = port

    def secret(self) -> str:
        return (WAREHOUSE / self._role).read_text().strip()

    def accepts(self, secret: str) -> bool:
        argv = ["/usr/bin/psql", "-XAtqw", "-h", "127.0.0.1", "-p", str(self._port), "-U", self._role]
        descriptor = os.memfd_create("passfile")
        try:
            os.fchmod(descriptor, 0o600)
            os.write(descriptor, f"*:*:*:*:{secret}\n".encode())
            known = {"PGPASSFILE": f"/proc/self/fd/{descriptor}", "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"}
            return session(
                run([*argv, "-d", "warehouse", "-c", "select 1"], env=known, pass_fds=(descriptor,))
            )
        finally:
            os.close(descriptor)


class Monitoring:
    """A password of the monitoring's web servers, tried by a question to Prometheus."""

    def __init__(self, user: str, port: int) -> None:
        self._user = user
        self._url = f"http://127.0.0.1:{port}/api/v1/status/buildinfo"

    def secret(self) -> str:
        return (MONITORING / f"{self._user}_password").read_text().strip()

    def accepts(self, secret: str) -> bool:
        return judged(ask(self._url, login=f"{self._user}:{secret}")[0], "Prometheus")


class Database:
    """Airflow's password for its own database, tried over the network of the containers."""

    def secret(self) -> str:
        return (AIRFLOW / "postgres_password").read_text().strip()

    def accepts(self, secret: str) -> bool:
        script = (
            "umask 077; cat > /tmp/proof; trap 'rm -f /tmp/proof' EXIT; "
            "PGPASSFILE=/tmp/proof psql -XAtqw -h postgres -U airflow -d airflow -c 'select 1'"
        )
        argv = [*COMPOSE, "exec", "-T", "postgres", "sh", "-c", script]
        return session(run(argv, text=f"*:*:*:*:{secret}\n"))


class Fernet:
    """The key as the running containers have it: they read it when they start. While there are two, the one that is
    to go is the last: a call that was killed between leaves them, and the next one goes on from there.
    """

    def secret(self) -> str:
        return (AIRFLOW / "fernet_key").read_text().strip().split(",")[-1]

    def accepts(self, secret: str) -> bool:
        done = run([*COMPOSE, "exec", "-T", "api-server", "cat", "/run/secrets/fernet_key"])
        if done.returncode:
            raise Refusal("unproven", done.stderr.strip())
        return secret in done.stdout.strip().split(",")


KINDS: dict[str, Any] = {
    "airbyte": Airbyte,
    "database": Database,
    "fernet": Fernet,
    "login": Login,
    "monitoring": Monitoring,
    "token": Token,
    "warehouse": Warehouse,
}


def session(done: "subprocess.CompletedProcess[str]") -> bool:
    if done.returncode == 0:
        return True
    if "password authentication failed" in done.stderr:
        return False
    raise Refusal("unproven", done.stderr.strip())


def run(
    argv: list[str], text: str = "", env: dict[str, str] | None = None, pass_fds: tuple[int, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """A program with `text` as its input, run to its end."""
    try:
        done = bounded(argv, seconds=STEP_SECONDS, text=text, env=env, pass_fds=pass_fds)
    except OSError as error:
        raise Refusal("failed", f"{argv[0]}: {error}") from None
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout, done.stderr)


class Agent:
    """One request, one answer."""

    def __init__(self) -> None:
        self._old: str | None = None

    def remember(self, proof: dict[str, Any]) -> None:
        """Keeps the secret that is to go. One that is not there, or opens nothing any more, needs no proof."""
        with contextlib.suppress(Refusal, FileNotFoundError):
            self._old = made(proof).secret()

    def run(self, argv: list[str]) -> None:
        done = run(argv)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
            raise Refusal("failed", "\n".join([f"* Command: {' '.join(argv)}", *said]))

    def prove(self, proof: dict[str, Any]) -> dict[str, bool]:
        """Whether the new secret opens, whether the old one still does, and whether there was an old one to try."""
        tried = made(proof)
        new = tried.secret()
        return {
            "new": tried.accepts(new),
            "old": self._old is not None and self._old != new and tried.accepts(self._old),
            "changed": self._old != new,
            "tried": self._old is not None,
        }

    def answer(self, line: str) -> dict[str, Any]:
        return answered(self, ("remember", "run", "prove"), line)


def made(proof: dict[str, Any]) -> Any:
    return KINDS[proof["kind"]](**{name: value for name, value in proof.items() if name != "kind"})


if __name__ == "__main__":
    serve(Agent())
