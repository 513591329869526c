"""Everything that a handler needs, put together once."""

from __future__ import annotations

import fcntl
import os

from airbyte_embedded.auth import Clients, Tokens
from airbyte_embedded.connectors import Connectors
from airbyte_embedded.database import Database
from airbyte_embedded.joblog import Logs
from airbyte_embedded.protocol import Protocol
from airbyte_embedded.settings import Settings
from airbyte_embedded.supervisor import Supervisor
from airbyte_embedded.vault import Vault


class AlreadyRunning(Exception):
    """Another process serves the same data folder."""


class Service:
    """One service over one data folder. Raises AlreadyRunning, BadClientsFile, BadRegistry, NewerDatabase."""

    def __init__(self, settings: Settings) -> None:
        os.umask(0o077)
        settings.ensure_folders()
        self._lock = os.open(settings.data / "service.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"Another process serves {settings.data}.") from None
        self.settings = settings
        self.database = Database(settings.database)
        self.vault = Vault(settings.keys)
        self.tokens = Tokens(
            self.vault.token_key, Clients(settings.clients, self.database), settings.limits.token_seconds
        )
        self.connectors = Connectors(settings)
        self.protocol = Protocol(settings, self.connectors)
        self.logs = Logs(settings.logs, settings.limits.log_megabytes, settings.limits.log_days)
        self.supervisor = Supervisor(
            settings, self.database, self.connectors, self.protocol, self.vault, self.logs
        )

    def close(self) -> None:
        self.database.close()
        os.close(self._lock)
