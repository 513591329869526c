"""The Docker engine of this computer: find it, start it, say what is wrong with it."""

import functools
import os
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hangar import process
from hangar.errors import CloudError, EngineRefused, MissingTool
from hangar.paths import REPO
from hangar.process.unattended import background

if TYPE_CHECKING:
    from docker import APIClient, TLSConfig

    from hangar.cloud.base import Report

START_TIMEOUT = 60.0
"""Seconds that an engine gets to answer after it was started."""

GRACE = 5.0
"""Seconds that another engine gets to answer after ours has ended: two calls at once start two, and one gives way."""

SLOW = 600
"""Seconds for one answer of the engine: importing an image or stopping a busy machine takes long."""

SOCKET = Path("/var/run/docker.sock")
"""Where the system's engine listens."""

SYSTEMD = Path("/run/systemd/system")
"""There while systemd is the first process."""

LOG = REPO / ".hangar" / "dockerd.log"


def connect(timeout: int = SLOW) -> "APIClient":
    """A client of the engine that `docker` itself would use: DOCKER_HOST, else DOCKER_CONTEXT or the current one.

    Raises:
        MissingTool: no engine is installed.
        CloudError: it does not answer, refuses us, or runs on another computer.
    """
    from docker import APIClient
    from docker.errors import DockerException

    address, tls = endpoint()
    require_local(address)
    try:
        client = APIClient(base_url=address, tls=tls or False, version="auto", timeout=timeout)
        client.ping()
    except (DockerException, OSError) as error:
        raise unavailable(address, str(error)) from error
    return client


def endpoint() -> tuple[str, "TLSConfig | None"]:
    """The engine's address and its TLS settings (None without)."""
    from docker.context import ContextAPI
    from docker.utils import kwargs_from_env

    if os.environ.get("DOCKER_HOST"):
        settings = kwargs_from_env()
        return settings.get("base_url", ""), settings.get("tls")
    name = os.environ.get("DOCKER_CONTEXT") or None
    context = ContextAPI.get_context(name)
    if context is None:
        raise CloudError(
            f"The Docker context {name or 'in use'} does not exist.",
            resolution="See which there are: docker context ls",
        )
    return context.Host or "", context.TLSConfig


def require_local(address: str) -> None:
    """Refuses an engine elsewhere: the machine's SSH is published on the loopback of the engine's computer."""
    parts = urlsplit(address)
    if parts.scheme in ("unix", "npipe", "http+unix") or parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return
    raise CloudError(
        f"The Docker engine at {address} is on another computer.",
        "The machine's SSH port is published on that computer's 127.0.0.1 only, so it cannot be reached from here.",
        "Use this computer's engine: docker context use default, and unset DOCKER_HOST.",
    )


def unavailable(address: str, said: str) -> CloudError | MissingTool:
    """The error for an engine that does not answer, with the command that mends it."""
    if "permission denied" in said.lower():
        return EngineRefused(
            "This account may not use the Docker engine.",
            f"* Engine: {address}\n* It said: {said}",
            "Join its group and log in again: sudo usermod -aG docker $USER\n"
            "(whoever may use the engine is as good as root on this computer)",
        )
    if not installed():
        return MissingTool("No Docker engine is installed here.", f"* Engine: {address}", install_hint())
    return CloudError(
        "The Docker engine does not answer.", f"* Engine: {address}\n* It said: {said}", start_hint()
    )


def installed() -> bool:
    """Whether this computer has an engine that could be started.

    The client alone is none, unless it is set to another engine than the system's: Docker Desktop shows no dockerd.
    """
    if shutil.which("dockerd", path=_system_path()) or SOCKET.exists():
        return True
    try:
        return shutil.which("docker") is not None and not endpoint()[0].endswith(str(SOCKET))
    except CloudError:
        return True  # set to an engine that `connect` will name


def answers() -> bool:
    """Whether the engine can be used now.

    Raises:
        EngineRefused: it runs, but this account may not use it.
    """
    try:
        connect(timeout=10).close()
    except EngineRefused:
        raise
    except (CloudError, MissingTool):
        return False
    return True


@functools.cache
def facts() -> dict[str, Any] | None:
    """What the engine says of itself and of its computer; None if it does not answer. Asked once, see `forget`."""
    try:
        client = connect(timeout=10)
    except (CloudError, MissingTool):
        return None
    try:
        return {**client.info(), "ApiVersion": client.version()["ApiVersion"]}
    finally:
        client.close()


def forget() -> None:
    """The next `facts` are fresh."""
    facts.cache_clear()


def shares_our_kernel() -> bool:
    """Whether containers run on this computer's own kernel, and not in a virtual machine (Docker Desktop, colima)."""
    if not sys.platform.startswith("linux"):
        return False
    said = facts()
    return said is None or str(said.get("KernelVersion")) == platform.release()


def ensure_runs(report: "Report") -> None:
    """Starts the engine if it is installed and does not answer.

    Raises:
        CloudError, EngineRefused: see `start`.
    """
    if installed() and not answers():
        report("start the Docker engine")
        start()


def start() -> None:
    """Starts the engine: through systemd where it runs, else dockerd itself, in the background.

    Raises:
        CloudError: it ended, or does not answer within `START_TIMEOUT`.
        EngineRefused: it answers, but not to this account.
    """
    pid = None
    if SYSTEMD.is_dir():
        process.run([*sudo(), "systemctl", "start", "docker"])
    elif shutil.which("dockerd", path=_system_path()):
        LOG.parent.mkdir(mode=0o700, exist_ok=True)
        pid = background([*sudo(), "dockerd"], log=LOG, env={"PATH": _system_path()})
    else:
        raise CloudError("The Docker engine does not run.", resolution=start_hint())
    _wait_for_answer(pid)


def _wait_for_answer(pid: int | None) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    ended = False
    while not answers():
        if not ended and pid is not None and _has_ended(pid):
            ended, deadline = True, time.monotonic() + GRACE
        if time.monotonic() > deadline:
            tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-10:]) if LOG.exists() else ""
            what = "ended again" if ended else f"did not answer within {START_TIMEOUT:g} s"
            raise CloudError(f"The Docker engine {what}.", tail, start_hint())
        time.sleep(0.2)


def _has_ended(pid: int) -> bool:
    """Whether our child has ended; until it is waited for, it stays as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def sudo() -> list[str]:
    """What to put before a command that only root may run."""
    return [] if os.geteuid() == 0 else ["sudo"]


def has_apt() -> bool:
    return shutil.which("apt-get") is not None


def install_hint() -> str:
    if has_apt():
        return "Install one: sudo apt-get install docker.io"
    if sys.platform == "darwin":
        return "Install Docker Desktop: https://docs.docker.com/desktop/"
    return "Install one: https://docs.docker.com/engine/install/"


def start_hint() -> str:
    if sys.platform == "darwin":
        return "Start it: open -a Docker"
    if SYSTEMD.is_dir():
        return "Start it: sudo systemctl start docker"
    return "Start it: sudo dockerd"


def _system_path() -> str:
    """Dockerd lives where ordinary accounts do not look."""
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"
