"""Airbyte's connector protocol, the short questions: spec, check, discover.

The long one, read, is PyAirbyte's business and happens in a job's own process.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbyte_embedded import processes
from airbyte_embedded.connectors import Connector, Connectors
from airbyte_embedded.problems import Problem, bad_request, unavailable
from airbyte_embedded.settings import Settings

Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A connector's answer, of the message type that was waited for."""

    found: Json | None
    complaint: str


def messages(output: bytes) -> Iterator[Json]:
    """The protocol's messages among whatever else a connector prints."""
    for line in output.splitlines():
        if line.startswith(b"{"):
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict):
                yield message


def complaint(output: bytes) -> str:
    """What the connector itself says went wrong; empty when it says nothing."""
    said = ""
    for message in messages(output):
        if message.get("type") == "TRACE" and message.get("trace", {}).get("type") == "ERROR":
            said = str(message["trace"].get("error", {}).get("message", ""))
    return said


class Protocol:
    """Asks connectors. Each question is a process of its own with a time limit."""

    def __init__(self, settings: Settings, connectors: Connectors) -> None:
        self._settings = settings
        self._connectors = connectors
        self._known: dict[Connector, Json] = {}

    async def specification(self, connector: Connector) -> Json:
        """The JSON schema of the connector's configuration; kept, since it changes only with the version."""
        if connector in self._known:
            return self._known[connector]
        await self._connectors.ensure_installed(connector)
        kept = self._settings.connectors / f"{connector.name}-{connector.stamp}.spec.json"
        if not kept.exists():
            await self._keep_specification(connector, kept)
        self._known[connector] = json.loads(kept.read_text())
        return self._known[connector]

    async def _keep_specification(self, connector: Connector, kept: Path) -> None:
        asked = await self._ask(connector, ["spec"], None, "SPEC")
        schema = (asked.found or {}).get("spec", {}).get("connectionSpecification")
        if not isinstance(schema, dict):
            raise unavailable(f"{connector.name} gave no specification. {asked.complaint}".strip())
        fresh = kept.with_suffix(".new")
        fresh.write_text(json.dumps(schema))
        fresh.rename(kept)

    async def check(self, connector: Connector, configuration: Json) -> None:
        """The connector accepts the configuration. Raises Problem 400 with the connector's own words."""
        asked = await self._ask(connector, ["check"], configuration, "CONNECTION_STATUS")
        status = (asked.found or {}).get("connectionStatus", {})
        if status.get("status") != "SUCCEEDED":
            said = status.get("message") or asked.complaint or "it gave no answer"
            raise bad_request(f"{connector.name} refuses this configuration: {said}")

    async def discover(self, connector: Connector, configuration: Json) -> list[Json]:
        """The streams that the source offers. Raises Problem 400 with the connector's own words."""
        await self._connectors.ensure_installed(connector)
        asked = await self._ask(connector, ["discover"], configuration, "CATALOG")
        streams = (asked.found or {}).get("catalog", {}).get("streams")
        if not isinstance(streams, list):
            said = asked.complaint or "it gave no catalog"
            raise bad_request(f"{connector.name} could not say which streams it has: {said}")
        return streams

    async def _ask(
        self, connector: Connector, words: list[str], configuration: Json | None, kind: str
    ) -> Asked:
        scratch = Path(tempfile.mkdtemp(prefix="ask-", dir=self._settings.work))
        try:
            argv = [*self._connectors.command(connector), *words]
            if configuration is not None:
                argv += ["--config", str(_write(scratch / "config.json", configuration))]
            seconds = self._settings.limits.check_seconds
            done = await processes.run(argv, self._settings.mark(f"ask/{uuid.uuid4()}"), scratch, seconds)
        except processes.Unusable as error:
            raise unavailable(f"{connector.name}: {error}") from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if done.code is None:
            raise _silent(connector, words[0], seconds)
        found = [message for message in messages(done.output) if message.get("type") == kind]
        said = complaint(done.output) or done.errors.decode(errors="replace").strip()[-500:]
        return Asked(found[-1] if found else None, said)


def _write(path: Path, configuration: Json) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(configuration, file)
    return path


def _silent(connector: Connector, word: str, seconds: float) -> Problem:
    return bad_request(f"{connector.name} did not answer to {word} within {seconds:g} seconds.")
