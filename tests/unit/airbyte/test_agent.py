"""The machine's end by itself: what leaves it, and what it refuses."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hangar import agents
from hangar.airbyte.remote.api import Api, said
from hangar.airbyte.remote.ledger import Ledger
from hangar.airbyte.remote.references import Secrets
from hangar.airbyte.session import BESIDE
from hangar.serving import Refusal
from tests.foreign import foreign as foreign
from tests.unit.airbyte.conftest import MachineHere
from tests.unit.airbyte.fake_airbyte import FakeAirbyte


def talk(machine: MachineHere, *lines: str) -> list[Any]:
    """What the program answers, run as root's python3 would run it."""
    sent = "\n".join([agents.program("hangar.airbyte", BESIDE), *lines, ""])
    done = subprocess.run(machine.argv, input=sent, capture_output=True, text=True, check=True)
    ready, *answers = done.stdout.splitlines()
    assert (ready, done.stderr) == ("ready", "")
    return [json.loads(line) for line in answers]


@pytest.mark.parametrize(("line", "text"), [
    ("not json", "JSONDecodeError"),
    ('{"op": "_state", "key": "", "place": "", "name": ""}', "there is no operation _state"),
    ('{"op": "__init__", "settings_file": "/etc/shadow"}', "there is no operation __init__"),
    ('{"op": "get", "path": "/workspaces"}', "AttributeError"),
])  # fmt: skip
def test_it_answers_nonsense_and_lives(machine: MachineHere, line: str, text: str) -> None:
    first, second = talk(machine, line, '{"op": "open"}')
    assert first["error"]["kind"] == "defect"
    assert text in first["error"]["text"]
    assert second == {"ok": None}


def test_it_speaks_to_the_address_of_the_machine_alone(machine: MachineHere, airbyte: FakeAirbyte) -> None:
    answers = talk(machine, '{"op": "open"}', '{"op": "get", "path": "@example.com/steal"}')
    assert answers[1] == {"error": {"kind": "defect", "text": "@example.com/steal is no path"}}
    assert [path for _, path, _ in airbyte.requests if "steal" in path] == []


def test_who_speaks_no_http_is_not_airbyte(foreign: int) -> None:
    with pytest.raises(Refusal) as refused:
        Api(f"http://127.0.0.1:{foreign}", "client", "secret").call("GET", "/workspaces")
    assert refused.value.answer["kind"] == "unreachable"


def test_nothing_is_written_without_the_lock(machine: MachineHere) -> None:
    note = '{"op": "note", "kind": "source", "name": "x", "id": "1"}'
    _, refused = talk(machine, '{"op": "open"}', note)
    assert refused == {"error": {"kind": "defect", "text": "the record is open for reading only"}}
    assert not machine.ledger.exists()


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    (tmp_path / "key").write_text('sec"ret/1\n')
    (tmp_path / "longer").write_text('sec"ret/1 and more')
    (tmp_path / "empty").write_text("\n")
    return Secrets(tmp_path, {}, b"k")


def test_secrets_go_in_where_they_are_named(secrets: Secrets) -> None:
    given = {"a": {"secret": "key"}, "b": [{"secret": "key"}, 1], "c": {"secret": "x", "other": 1}}
    assert secrets.put_into(given) == {
        "a": 'sec"ret/1',
        "b": ['sec"ret/1', 1],
        "c": {"secret": "x", "other": 1},
    }


@pytest.mark.parametrize("name", ["missing", "empty", "../key", "/etc/passwd", ""])
def test_what_is_no_secret_goes_in_nowhere(secrets: Secrets, name: str) -> None:
    with pytest.raises(Refusal) as refused:
        secrets.put_into({"a": [{"secret": name}]})
    assert refused.value.answer == {"kind": "secret", "text": "a.0", "name": name}


def test_secrets_are_taken_out_in_every_shape(secrets: Secrets) -> None:
    secrets.put_into([{"secret": "key"}, {"secret": "longer"}])
    answer = {
        "x": ['as is: sec"ret/1', "in a URL: sec%22ret%2F1", 'in JSON: sec\\"ret/1', 'sec"ret/1 and more', 5]
    }
    assert secrets.take_out(answer) == {
        "x": ["as is: (secret key)", "in a URL: (secret key)", "in JSON: (secret key)", "(secret longer)", 5]
    }


def test_a_fingerprint_tells_nothing_without_its_key(tmp_path: Path, secrets: Secrets) -> None:
    other = Secrets(tmp_path, {}, b"another key")
    assert secrets.fingerprint("key") == secrets.fingerprint("key")
    assert secrets.fingerprint("key") != other.fingerprint("key")
    assert secrets.fingerprint("missing") is None


def test_the_record_is_whole_or_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "pipelines")
    ledger.open("me")
    ledger.put("source/x", {"id": "1"})
    (tmp_path / "pipelines/.ledger.json.new").write_text("half of")  # a killed write
    ledger.put("source/y", {"id": "2"})
    again = Ledger(tmp_path / "pipelines")
    again.open("")
    assert again.entries == {"source/x": {"id": "1"}, "source/y": {"id": "2"}}
    assert (tmp_path / "pipelines").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("text", "words"), [
    ('{"title": "t", "detail": "d", "data": {"message": "m"}}', "m"),
    ('{"title": "t", "detail": "d"}', "d"),
    ('{"message": "m"}', "m"),
    ("<html>502</html>", "<html>502</html>"),
    ("", ""),
])  # fmt: skip
def test_airbytes_own_words_are_told(text: str, words: str) -> None:
    assert said(text) == words
