"""The same pipelines against the engine of ours, as a process on this computer, with a connector of its own tests."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hangar.errors import ConfigError, MachineUnreachable
from tests.runtime import free_port
from tests.unit.airbyte.calls import call
from tests.unit.airbyte.conftest import MachineHere
from tests.unit.airbyte.fake_airbyte import CLIENT, REPO, FakeAirbyte

HOME = Path(os.environ.get("HANGAR_AIRBYTE_EMBEDDED", REPO / "services/airbyte_embedded"))
PYTHON, WORKER = HOME / ".venv/bin/python", HOME / ".venv-worker/bin/python"

pytestmark = pytest.mark.skipif(
    not (PYTHON.exists() and WORKER.exists()),
    reason="the embedded engine's environments are not made (services/airbyte_embedded)",
)

DECLARED = """
sources:
  toy: {connector: toy, configuration: {behaviour: good, rows: 5, api_key: {secret: toy_key}}}
destinations:
  lake: {connector: duckdb, configuration: {destination_path: /local/lake.duckdb}}
connections:
  toy_to_lake:
    source: toy
    destination: lake
    streams:
      STREAM: {sync_mode: full_refresh_overwrite}
"""


class Engine:
    """The real service over a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = free_port()
        clients = {"id": CLIENT["client_id"], "secret": CLIENT["client_secret"], "scope": "admin"}
        (folder / "clients.json").write_text(json.dumps({"clients": [clients]}))
        (folder / "connectors").mkdir()
        toy = {"toy": {"command": [str(PYTHON), str(HOME / "tests/toy.py")]}}
        (folder / "connectors/registry.json").write_text(json.dumps(toy))
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/public/v1"

    def start(self) -> None:
        argv = [
            str(PYTHON), "-m", "airbyte_embedded", "--data", str(self.folder / "data"), "--port", str(self.port),
            "--clients", str(self.folder / "clients.json"), "--worker-python", str(WORKER),
            "--connectors", str(self.folder / "connectors"),
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, cwd=HOME, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()

    def answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
            return bool(answer.status == 200)
        return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    found = Engine(tmp_path / "engine")
    yield found
    found.stop()


@pytest.fixture
def stream() -> str:
    """A stream that the toy offers."""
    done = subprocess.run(
        [str(PYTHON), str(HOME / "tests/toy.py"), "discover", "--config", "/dev/stdin"],
        input='{"behaviour": "good"}', capture_output=True, text=True, check=True,
    )  # fmt: skip
    catalog = next(line for line in done.stdout.splitlines() if "CATALOG" in line)
    return str(json.loads(catalog)["catalog"]["streams"][0]["name"])


def test_the_embedded_engine_takes_what_is_declared_and_the_second_time_nothing_changes(
    engine: Engine, machine: MachineHere, airbyte: FakeAirbyte, declare: Callable[..., None], stream: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    machine.write(engine.url)
    (machine.secrets / "toy_key").write_text("a-key-of-the-toy")
    text = DECLARED.replace("STREAM", stream)
    declare(text=text)
    assert call("apply") == 0
    assert call("plan") == 0
    assert call("apply") == 0
    assert "Nothing to do.\n" in capsys.readouterr().out

    declare(
        text=text.replace("rows: 5", "rows: 7").replace(
            "destination: lake", "destination: lake\n    prefix: p_"
        )
    )
    assert call("plan") == 4
    out = capsys.readouterr().out
    assert "    configuration.rows: 5 → 7\n" in out
    assert '    prefix: "" → p_\n' in out
    assert call("apply") == 0
    assert call("plan") == 0

    (machine.secrets / "toy_key").write_text("another-key")
    assert call("plan") == 4
    assert call("apply") == 0
    assert call("plan") == 0

    declare(text="sources: {}\n")
    assert call("apply", yes=True) == 0
    assert json.loads(machine.ledger.read_text())["entries"] == {}


def test_the_embedded_engine_refuses_before_anything_is_changed(
    engine: Engine, machine: MachineHere, declare: Callable[..., None], stream: str
) -> None:
    machine.write(engine.url)
    (machine.secrets / "toy_key").write_text("a-key-of-the-toy")
    text = DECLARED.replace("STREAM", stream)
    declare(text=text.replace("rows: 5", "rows: -5").replace("connector: duckdb", "connector: snowflake"))
    with pytest.raises(ConfigError) as refused:
        call("apply")
    first, second = refused.value.details.splitlines()
    assert first.startswith("sources.toy: Airbyte refuses it: ")
    assert "rows" in first
    assert second.startswith("destinations.lake: Airbyte refuses it: ")
    assert "snowflake" in second
    declare(text=text.replace(f"{stream}:", "no_such_stream:"))
    with pytest.raises(ConfigError) as refused:
        call("apply")
    assert (
        "connections.toy_to_lake.streams.no_such_stream: the source toy has no such stream; "
        in refused.value.details
    )
    assert json.loads(machine.ledger.read_text())["entries"] == {}


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("schema_changes: propagate_fully",
         "schema_changes (nonBreakingSchemaUpdatesBehavior) can be ignore or propagate_columns with this engine."),
        ("schema_changes: disable_connection",
         "schema_changes (nonBreakingSchemaUpdatesBehavior) can be ignore or propagate_columns with this engine."),
        ("namespace: source",
         "namespace (namespaceDefinition) source is not supported by this engine: destination or custom_format."),
        ("namespace: 'raw_${SOURCE_NAMESPACE}'",
         "namespace (namespaceFormat) must be a plain schema name: small letters, digits and _."),
        ("prefix: A", "prefix may hold small letters, digits and _, up to 40 of them."),
        ("schedule: 0 0 0 30 FEB ?",
         "The schedule (cronExpression) '0 0 0 30 FEB ?' cannot be used: no date answers to it."),
    ],
)  # fmt: skip
def test_what_the_embedded_engine_cannot_keep_of_a_connection_is_refused_before_anything_is_changed(
    engine: Engine, machine: MachineHere, declare: Callable[..., None], stream: str, said: str, refused: str
) -> None:
    machine.write(engine.url)
    (machine.secrets / "toy_key").write_text("a-key-of-the-toy")
    declare(text=DECLARED.replace("STREAM", stream).replace("source: toy\n", f"source: toy\n    {said}\n"))
    with pytest.raises(ConfigError) as caught:
        call("apply")
    assert caught.value.details == f"connections.toy_to_lake: Airbyte refuses it: {refused}"
    assert json.loads(machine.ledger.read_text())["entries"] == {}


def test_a_connection_that_would_be_made_anew_stays_when_the_embedded_engine_refuses_the_new_one(
    engine: Engine, machine: MachineHere, declare: Callable[..., None], stream: str
) -> None:
    machine.write(engine.url)
    (machine.secrets / "toy_key").write_text("a-key-of-the-toy")
    text = DECLARED.replace("STREAM", stream)
    declare(text=text)
    assert call("apply") == 0
    before = json.loads(machine.ledger.read_text())["entries"]
    # Another connector: destination and connection go and come again.
    declare(
        text=text.replace("connector: duckdb", "connector: parquet")
        .replace("/local/lake.duckdb", "/local/lake")
        .replace("source: toy\n", "source: toy\n    prefix: A\n    namespace: source\n")
        .replace(f"{stream}:", "no_such_stream:")
    )
    with pytest.raises(ConfigError) as caught:
        call("apply", yes=True)
    stream_told, told = caught.value.details.splitlines()
    assert told == (
        "connections.toy_to_lake: Airbyte refuses it: prefix may hold small letters, digits and _, up to 40 of them. "
        "namespace (namespaceDefinition) source is not supported by this engine: destination or custom_format."
    )
    assert stream_told.startswith(
        "connections.toy_to_lake.streams.no_such_stream: the source toy has no such"
    )
    assert json.loads(machine.ledger.read_text())["entries"] == before
    declare(text=text)
    assert call("plan") == 0


def test_the_embedded_engine_takes_a_key_and_a_cursor_of_ones_own(
    engine: Engine, machine: MachineHere, declare: Callable[..., None], stream: str
) -> None:
    machine.write(engine.url)
    (machine.secrets / "toy_key").write_text("a-key-of-the-toy")
    keyless = DECLARED.replace("STREAM", stream).replace("rows: 5", "rows: 5, keyless: true")
    deduped = keyless.replace("full_refresh_overwrite", "incremental_deduped_history")
    declare(text=deduped)
    with pytest.raises(ConfigError) as caught:
        call("apply")
    at = f"connections.toy_to_lake.streams.{stream}"
    assert caught.value.details.splitlines() == [
        f"{at}.cursor: is missing, and the source has none of its own; a column would be right",
        f"{at}.primary_key: is missing, and the source has none of its own; columns would be right",
    ]
    own = "incremental_deduped_history, cursor: updated_at, primary_key: [id]"
    declare(text=keyless.replace("full_refresh_overwrite", own))
    assert call("apply") == 0
    assert call("plan") == 0


def test_the_embedded_engine_is_killed_in_the_middle_and_the_next_apply_ends_right(
    engine: Engine,
    machine: MachineHere,
    declare: Callable[..., None],
    stream: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hangar.airbyte.client import Client

    machine.write(engine.url)
    (machine.secrets / "toy_key").write_text("a-key-of-the-toy")
    declare(text=DECLARED.replace("STREAM", stream))
    create = Client.create

    def killed(self: Client, one: object, name: str, *rest: object) -> str:
        if name == "lake":
            engine.stop()
        return create(self, one, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Client, "create", killed)
    with pytest.raises(MachineUnreachable):
        call("apply")
    monkeypatch.setattr(Client, "create", create)
    engine.start()
    assert call("apply") == 0
    assert call("plan") == 0
