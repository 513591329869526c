"""A machine with Airbyte on it: the agent as a local process, a stand-in for Airbyte, files of one's own."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hangar import agents
from hangar.airbyte import session
from hangar.airbyte.client import Client
from hangar.commands import pipelines
from tests.unit.airbyte.calls import Declare, call
from tests.unit.airbyte.fake_airbyte import CLIENT, FakeAirbyte

PASSWORD = 'pass"word/of the warehouse'

DECLARED = """
sources:
  people: {connector: faker, configuration: {count: 100, seed: 1}}
destinations:
  warehouse:
    connector: postgres
    configuration: {host: db, port: {setting: airflow.port}, password: {secret: warehouse}}
connections:
  people_to_warehouse:
    source: people
    destination: warehouse
    streams:
      users: {sync_mode: incremental_deduped_history, cursor: updated_at, primary_key: [id]}
"""


@pytest.fixture
def airbyte() -> Iterator[FakeAirbyte]:
    fake = FakeAirbyte()
    yield fake
    fake.stop()


class MachineHere:
    """What the role of the engine would leave on the machine, in a folder."""

    def __init__(self, folder: Path, airbyte: FakeAirbyte) -> None:
        self.folder = folder
        self.settings = folder / "airbyte.json"
        self.ledger = folder / "pipelines" / "ledger.json"
        self.secrets = folder / "pipelines" / "secrets"
        self.secrets.mkdir(parents=True)
        for name in ("client_id", "client_secret"):
            (folder / name).write_text(CLIENT[name] + "\n")
        (folder / "warehouse_password").write_text(PASSWORD + "\n")
        self.write(airbyte.url)

    def write(self, url: str, **more: str) -> None:
        found = {
            **more,
            "url": url, "client_id_file": str(self.folder / "client_id"),
            "client_secret_file": str(self.folder / "client_secret"), "ledger": str(self.folder / "pipelines"),
            "secrets": str(self.secrets), "named_secrets": {"warehouse": str(self.folder / "warehouse_password")},
        }  # fmt: skip
        self.settings.write_text(json.dumps(found))

    @property
    def argv(self) -> list[str]:
        return [sys.executable, "-I", "-u", "-c", agents.BOOT, str(self.settings)]

    @contextmanager
    def session(self) -> Iterator[session.Session]:
        with session.opened(self.argv, "local", "hangar-local", self.folder / "agent.log") as opened:
            yield opened

    @contextmanager
    def client(self, *_: object) -> Iterator[Client]:
        with self.session() as opened:
            yield Client(opened)


@pytest.fixture
def machine(tmp_path: Path, airbyte: FakeAirbyte, monkeypatch: pytest.MonkeyPatch) -> MachineHere:
    folder = tmp_path / "machine"
    folder.mkdir()
    found = MachineHere(folder, airbyte)
    monkeypatch.setattr(pipelines, "client", found.client)
    return found


@pytest.fixture
def declare(repo: Path) -> Callable[..., None]:
    """Writes pipelines/airbyte.yml: the example, changed by (old, new)."""

    def write(*changes: tuple[str, str], text: str = DECLARED) -> None:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (repo / "pipelines").mkdir(exist_ok=True)
        (repo / "pipelines" / "airbyte.yml").write_text(text)

    write()
    return write


@pytest.fixture
def applied(declare: Declare, machine: MachineHere, airbyte: FakeAirbyte) -> FakeAirbyte:
    assert call("apply") == 0
    airbyte.requests.clear()
    return airbyte
