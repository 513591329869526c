"""What the operator may set. Every value has a default that suits a small machine."""

from __future__ import annotations

import hashlib
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Bounds on one job and on the service. Seconds and megabytes (10^6 bytes) as named."""

    job_seconds: float = 4 * 3600  # a hanging source ends here
    job_megabytes: int = 2048  # resident memory of the whole process group; PyAirbyte alone takes about 320
    check_seconds: float = 300  # spec, check and discover of a connector, on an emulated processor
    install_seconds: float = 1800  # one connector's packages, on an emulated processor
    jobs_at_once: int = 2  # beyond it a job is pending
    jobs_waiting: int = 100  # beyond it a request is refused with 503
    attempts: int = 3  # starts of one job that the service itself interrupted
    body_bytes: int = 1_000_000
    body_seconds: float = 60  # until all of it has arrived
    log_megabytes: int = 10  # a job's log; one older part of the same size is kept
    log_days: int = 30
    token_seconds: int = 900  # Airbyte's own lifetime for application tokens


@dataclass(frozen=True)
class Settings:
    """Where things are. `data` holds everything that must outlive the process."""

    data: Path
    clients: Path
    worker_python: Path = Path(sys.executable)
    uv: str = shutil.which("uv") or "uv"
    extra_connectors: Path | None = None
    limits: Limits = field(default_factory=Limits)

    def mark(self, what: str) -> str:
        """What a child's environment carries; another service on the same machine has other marks."""
        return f"{hashlib.sha256(str(self.data).encode()).hexdigest()[:12]}/{what}"

    @property
    def database(self) -> Path:
        return self.data / "state.sqlite"

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def connectors(self) -> Path:
        return self.data / "connectors"

    @property
    def work(self) -> Path:
        return self.data / "work"

    @property
    def locks(self) -> Path:
        return self.data / "locks"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def local(self) -> Path:
        """What connectors call /local: the only folder that a DuckDB destination may write to."""
        return self.data / "local"

    def ensure_folders(self) -> None:
        """Make every folder that is missing, readable by this account alone."""
        for folder in (self.data, self.keys, self.connectors, self.work, self.locks, self.logs, self.local):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
