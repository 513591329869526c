"""Which source connectors may run here, and how each comes onto the machine.

`registry.json` beside this file is the allow-list; the operator may add a folder with a registry of its own.
An entry is one of

- `{"lock": "faker.lock", "executable": "source-faker"}`: from PyPI, every package pinned by hash, installed by
  uv into an environment of its own at first use;
- `{"manifest": "weather.yaml"}`: a declarative source, run by PyAirbyte's own interpreter of manifests;
- `{"command": ["/opt/source-x/run"]}`: a program that is there already.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import shutil
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from airbyte_embedded import processes
from airbyte_embedded.problems import Problem, unknown_value
from airbyte_embedded.settings import Settings

HERE = Path(__file__).parent
LAUNCH = HERE.parent / "worker" / "launch.py"
NAMESPACE = uuid.UUID("6f1c0a52-7d0c-5d0e-9d6e-2b1f6a1f9c3b")  # for definitions that Airbyte does not know
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

log = logging.getLogger(__name__)


class BadRegistry(Exception):
    """A registry of connectors cannot be used."""


@dataclass(frozen=True)
class Connector:
    """A source connector. `type` is what Airbyte calls sourceType."""

    type: str
    definition_id: str
    folder: Path
    lock: str | None = None
    executable: str | None = None
    manifest: str | None = None
    command: tuple[str, ...] = ()
    stamp: str = ""  # changes when the connector's version does

    @property
    def name(self) -> str:
        return f"source-{self.type}"


def read(folder: Path) -> dict[str, Connector]:
    """The connectors that a folder's registry.json allows. Raises BadRegistry."""
    path = folder / "registry.json"
    try:
        return {name: _connector(name, entry, folder) for name, entry in json.loads(path.read_text()).items()}
    except OSError as error:
        raise BadRegistry(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise BadRegistry(f"{path} is not a registry of connectors: {error}") from None


def _connector(name: str, entry: dict[str, object], folder: Path) -> Connector:
    ways = [way for way in ("lock", "manifest", "command") if way in entry]
    if not NAME.fullmatch(name) or len(ways) != 1 or ("lock" in entry) != ("executable" in entry):
        raise ValueError(f"{name} needs exactly one of lock (with executable), manifest, command")
    for way in ("lock", "manifest"):
        if way in entry and not (folder / str(entry[way])).is_file():
            raise ValueError(f"{name}: {entry[way]} is not there")
    command = entry.get("command", [])
    file = entry.get("lock") or entry.get("manifest")
    content = (folder / str(file)).read_bytes() if file else str(command).encode()
    return Connector(
        type=name,
        definition_id=str(uuid.UUID(str(entry.get("definitionId", uuid.uuid5(NAMESPACE, name))))),
        folder=folder,
        lock=str(entry["lock"]) if "lock" in entry else None,
        executable=str(entry["executable"]) if "executable" in entry else None,
        manifest=str(entry["manifest"]) if "manifest" in entry else None,
        command=tuple(str(part) for part in command) if isinstance(command, list) else (),
        stamp=hashlib.sha256(content).hexdigest()[:16],
    )


class Connectors:
    """Finds connectors by their type or definition, and installs them on first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known = read(HERE)
        if settings.extra_connectors:
            self._known |= read(settings.extra_connectors)
        self._locks: dict[str, asyncio.Lock] = {}

    def find(self, source_type: object, definition_id: str | None) -> Connector:
        """Raises Problem 400 when neither names a connector that is allowed here."""
        for connector in self._known.values():
            if connector.type == source_type or (
                source_type is None and connector.definition_id == definition_id
            ):
                return connector
        known = ", ".join(sorted(self._known))
        asked = source_type if source_type is not None else definition_id
        raise unknown_value(
            f"There is no connector {str(asked)[:64]!r} on this machine. Known source types: {known}. "
            "The operator adds one to the registry of connectors.",
            str(asked),
        )

    def by_type(self, source_type: str) -> Connector | None:
        """The connector of a source that exists; None when the operator took it off the list."""
        return self._known.get(source_type)

    def command(self, connector: Connector) -> list[str]:
        """The program and its first arguments; the connector must have been installed."""
        if connector.command:
            return list(connector.command)
        if connector.manifest:
            return [
                str(self._settings.worker_python), str(LAUNCH), "manifest",
                connector.name, str(connector.folder / connector.manifest),
            ]  # fmt: skip
        return [str(self._home(connector) / "bin" / str(connector.executable))]

    def _home(self, connector: Connector) -> Path:
        return self._settings.connectors / f"{connector.name}-{connector.stamp}"

    async def ensure_installed(self, connector: Connector) -> None:
        """The connector's environment stands, complete. Raises Problem 503 with what the installer said."""
        async with self._locks.setdefault(connector.type, asyncio.Lock()):
            home = self._home(connector)
            if connector.lock and not (home / "complete").exists():
                await self._install(connector, home)

    async def _install(self, connector: Connector, home: Path) -> None:
        log.info("installing %s", connector.name)
        if home.exists():  # an installation that was interrupted
            shutil.rmtree(home)
        lock, uv = connector.folder / str(connector.lock), self._settings.uv
        # wheels only: building a package would run its code with the service's rights, and needs a compiler
        install = [uv, "pip", "install", "--python", str(home / "bin/python"), "--require-hashes", "--only-binary",
                   ":all:", "--no-cache", "--compile-bytecode", "-r", str(lock)]  # fmt: skip
        for argv in ([uv, "venv", "--no-project", "--python", sys.executable, str(home)], install):
            try:
                done = await processes.run(
                    argv,
                    self._settings.mark(f"install/{connector.type}"),
                    self._settings.work,
                    self._settings.limits.install_seconds,
                )
            except processes.Unusable as error:
                raise _failed(connector, str(error)) from None
            if done.code != 0:
                shutil.rmtree(home, ignore_errors=True)
                said = done.errors.decode(errors="replace").strip()[-1000:]
                raise _failed(connector, said or "it took too long")
        (home / "complete").touch()
        await asyncio.to_thread(self._make_room, connector, home)

    def _make_room(self, connector: Connector, home: Path) -> None:
        """Environments of earlier versions go, but the last: an upgrade may go back to it. Each has hundreds of MB, and
        a connector gets a new version every few weeks. None is in use: a service knows one version alone.
        """
        shape = re.compile(rf"{re.escape(connector.name)}-[0-9a-f]{{16}}")
        others = [path for path in home.parent.iterdir() if shape.fullmatch(path.name) and path != home]
        whole = [path for path in others if (path / "complete").exists()]
        last = max(whole, key=lambda path: (path / "complete").stat().st_mtime, default=None)
        for path in others:
            if path != last:
                shutil.rmtree(path, ignore_errors=True)


def _failed(connector: Connector, said: str) -> Problem:
    return Problem(
        503, "service-unavailable", f"The connector {connector.name} could not be installed: {said}"
    )
