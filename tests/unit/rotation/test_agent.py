"""The machine's end: which answers count as yes and no, and which prove nothing."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from hangar.rotation import agent
from tests.foreign import foreign as foreign


def test_an_answer_that_is_no_http_proves_nothing(foreign: int) -> None:
    with pytest.raises(agent.Refusal) as refused:
        agent.ask(f"http://127.0.0.1:{foreign}/")
    assert refused.value.answer["kind"] == "unproven"


@pytest.fixture
def airbyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An Airbyte that lets in whoever has the secret in the file `true`."""
    (tmp_path / "airbyte_client_id").write_text("airflow-1")
    (tmp_path / "airbyte_client_secret").write_text("first")
    (tmp_path / "true").write_text("first")

    def ask(url: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        assert (url, body["client_id"]) == (
            "http://127.0.0.1:8000/api/public/v1/applications/token", "airflow-1",
        )  # fmt: skip
        return (200 if body["client_secret"] == (tmp_path / "true").read_text() else 401), None

    monkeypatch.setattr(agent, "ask", ask)
    return {"kind": "airbyte", "folder": str(tmp_path), "port": 8000}


def prove(started: agent.Agent, proof: dict[str, Any]) -> Any:
    return started.answer(json.dumps({"op": "prove", "proof": proof}))["ok"]


def test_a_changed_secret_is_tried_with_both(airbyte: dict[str, Any], tmp_path: Path) -> None:
    started = agent.Agent()
    assert started.answer(json.dumps({"op": "remember", "proof": airbyte})) == {"ok": None}
    assert prove(started, airbyte) == {"new": True, "old": False, "changed": False, "tried": True}
    (tmp_path / "airbyte_client_secret").write_text("second")
    assert prove(started, airbyte) == {"new": False, "old": True, "changed": True, "tried": True}
    (tmp_path / "true").write_text("second")
    assert prove(started, airbyte) == {"new": True, "old": False, "changed": True, "tried": True}


def test_a_secret_that_was_not_there_needs_no_proof(airbyte: dict[str, Any], tmp_path: Path) -> None:
    started = agent.Agent()
    (tmp_path / "airbyte_client_secret").unlink()
    assert started.answer(json.dumps({"op": "remember", "proof": airbyte})) == {"ok": None}
    (tmp_path / "airbyte_client_secret").write_text("first")
    assert prove(started, airbyte) == {"new": True, "old": False, "changed": True, "tried": False}


def test_a_log_in_that_nothing_answers_beforehand_is_not_called_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Airflow is down when its keys are made anew: no token of the old ones is there to be refused."""
    started, proof = agent.Agent(), {"kind": "token", "port": 8080}

    def refuse(self: agent.Token) -> str:
        raise agent.Refusal("unproven", "Connection refused")

    with monkeypatch.context() as down:
        down.setattr(agent.Token, "secret", refuse)
        assert started.answer(json.dumps({"op": "remember", "proof": proof})) == {"ok": None}
    monkeypatch.setattr(agent.Token, "secret", lambda self: "token")
    monkeypatch.setattr(agent.Token, "accepts", lambda self, secret: True)
    assert prove(started, proof) == {"new": True, "old": False, "changed": True, "tried": False}


def test_a_fernet_key_that_a_killed_call_left_beside_the_old_one_is_no_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call goes on with the new key and forgets the old one: that one is tried, and the new one stays."""
    file, running = tmp_path / "fernet_key", tmp_path / "running"

    def run(argv: list[str], **_: Any) -> "CompletedProcess[str]":
        assert argv[-2:] == ["cat", "/run/secrets/fernet_key"]
        return CompletedProcess(argv, 0, running.read_text(), "")

    monkeypatch.setattr(agent, "AIRFLOW", tmp_path)
    monkeypatch.setattr(agent, "run", run)
    for path in (file, running):
        path.write_text("new,old")
    started, proof = agent.Agent(), {"kind": "fernet"}
    assert started.answer(json.dumps({"op": "remember", "proof": proof})) == {"ok": None}
    assert not prove(started, proof)["changed"], "the old one is still there"
    file.write_text("new")
    assert prove(started, proof) == {"new": True, "old": True, "changed": True, "tried": True}
    running.write_text("new\n")
    assert prove(started, proof) == {"new": True, "old": False, "changed": True, "tried": True}


def test_a_password_of_the_monitoring_is_tried_as_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin_password").write_text("second")
    asked = []

    def ask(url: str, body: Any = None, token: str = "", login: str = "") -> tuple[int, Any]:
        asked.append((url, login))
        return (200 if login == "admin:second" else 401), None

    monkeypatch.setattr(agent, "MONITORING", tmp_path)
    monkeypatch.setattr(agent, "ask", ask)
    tried = agent.Monitoring("admin", 9090)
    assert (tried.accepts(tried.secret()), tried.accepts("first")) == (True, False)
    assert asked[0] == ("http://127.0.0.1:9090/api/v1/status/buildinfo", "admin:second")


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_any_other_answer_proves_nothing(status: int) -> None:
    with pytest.raises(agent.Refusal, match=f"Airbyte answers {status}"):
        agent.judged(status, "Airbyte")


def test_only_a_refused_password_is_a_no() -> None:
    def done(code: int, said: str) -> "CompletedProcess[str]":
        return CompletedProcess([], code, "", said)

    assert agent.session(done(0, ""))
    assert not agent.session(done(2, 'FATAL:  password authentication failed for user "reader"'))
    with pytest.raises(agent.Refusal, match="Connection refused"):
        agent.session(done(2, "connection failed: Connection refused"))


def test_a_step_that_fails_says_what_it_said() -> None:
    answer = agent.Agent().answer(json.dumps({"op": "run", "argv": ["sh", "-c", "echo no >&2; exit 3"]}))
    assert answer == {"error": {"kind": "failed", "text": "* Command: sh -c echo no >&2; exit 3\nno"}}


def test_what_it_does_not_know_it_refuses() -> None:
    assert agent.Agent().answer('{"op": "exec"}')["error"]["text"] == "there is no operation exec"
