"""The machine's end: whom it asks, how it logs in, and what it keeps to itself."""

import json
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from hangar.elt import agent
from tests.foreign import foreign as foreign

PASSWORD = "hunter2-of-airflow"
PSQL = """#!/usr/bin/python3
import json, os, stat, sys
file = os.stat(os.environ["PGPASSFILE"])
sql = sys.stdin.read()
record = {"argv": sys.argv[1:], "env": dict(os.environ), "mode": stat.filemode(file.st_mode),
          "passfile": open(os.environ["PGPASSFILE"]).read(), "sql": sql}
print(json.dumps(record), file=open("%s", "a"))
if "count(*)" in sql:
    print(json.dumps([[2, [["1", None], ["2", "x"]]], [7, None]]))
else:
    print(json.dumps([["best_products", ["id", "of\\"quote"]], ["customers", ["id"]]]))
"""


class Handler(BaseHTTPRequestHandler):
    """Gives tokens for the right password; the first one runs out at once."""

    asked: list[str]
    tokens: int

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(self.path)
        if body.get("password") != PASSWORD:
            self.answer(401, {"detail": "Invalid credentials"})
            return
        type(self).tokens += 1
        self.answer(201, {"access_token": f"token-{self.tokens}"})

    def do_GET(self) -> None:
        self.asked.append(self.path)
        good = self.headers["Authorization"] == "Bearer token-2"
        if self.path == "/missing":
            self.answer(404, {"detail": "The DAG was not found"})
        else:
            self.answer(200 if good else 401, {"ok": True} if good else {"detail": "expired"})

    def answer(self, status: int, data: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())

    def log_message(self, *_: Any) -> None:
        """Keeps the test's output for its own."""


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    (tmp_path / "admin_password").write_text(f"{PASSWORD}\n")
    monkeypatch.setattr(agent, "AIRFLOW_PASSWORD", tmp_path / "admin_password")
    monkeypatch.setattr(Handler, "asked", [], raising=False)
    monkeypatch.setattr(Handler, "tokens", 0, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(op: str, **request: Any) -> dict[str, Any]:
    return agent.Agent().answer(json.dumps({"op": op, **request}))


def test_a_token_that_has_run_out_is_renewed_once(airflow: ThreadingHTTPServer) -> None:
    answer = ask("airflow", port=airflow.server_port, method="GET", path="/api/v2/dags/elt")
    assert answer == {"ok": {"ok": True}}
    assert Handler.asked == ["/auth/token", "/api/v2/dags/elt"] * 2


def test_a_wrong_password_is_airflows_refusal(airflow: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "admin_password").write_text("wrong")
    answer = ask("airflow", port=airflow.server_port, method="GET", path="/api/v2/dags/elt")
    assert answer == {"error": {"kind": "refused", "text": "Invalid credentials", "status": 401}}


@pytest.mark.parametrize(("method", "asked"), [("GET", 2), ("POST", 1)])
def test_an_answer_that_comes_late_is_asked_for_again_unless_that_could_double_something(
    airflow: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, method: str, asked: int
) -> None:
    busy = Event()
    hold = Event()

    def late(handler: Handler) -> None:
        Handler.asked.append(handler.path)
        if not busy.is_set():
            busy.set()
            hold.wait(10)
        handler.answer(200, {"ok": True})

    at_once = agent.Airflow(airflow.server_port)
    at_once._token = "token"
    monkeypatch.setattr(agent, "SECONDS", 0.2)
    monkeypatch.setattr(Handler, f"do_{method}", late)
    try:
        if method == "GET":
            assert at_once.call(method, "/api/v2/dags") == {"ok": True}
        else:
            with pytest.raises(agent.Refusal, match="timed out"):
                at_once.call(method, "/api/v2/dags", {})
    finally:
        hold.set()
    assert Handler.asked == ["/api/v2/dags"] * asked


def test_nobody_there(airflow: ThreadingHTTPServer) -> None:
    answer = ask("airflow", port=1, method="GET", path="/api/v2/dags")
    assert answer["error"]["kind"] == "unreachable"
    assert PASSWORD not in json.dumps(answer)


def test_somebody_else_there(airflow: ThreadingHTTPServer, foreign: int) -> None:
    answer = ask("airflow", port=foreign, method="GET", path="/api/v2/dags")
    text = f"http://127.0.0.1:{foreign}: SSH-2.0-OpenSSH_10.0"
    assert answer == {"error": {"kind": "unreachable", "text": text + "\r\n"}}


@pytest.fixture
def psql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in that writes down how it was called."""
    record, program = tmp_path / "record", tmp_path / "psql"
    program.write_text(PSQL % record)
    program.chmod(0o755)
    (tmp_path / "reader").write_text("hunter2-of-reader\n")
    monkeypatch.setattr(agent, "READER_PASSWORD", tmp_path / "reader")
    monkeypatch.setattr(agent, "PSQL", str(program))
    return record


def test_gold_is_read_as_reader_and_only_some_rows_leave(psql: Path) -> None:
    answer = ask("gold", port=5432, shown=["best_products"])
    assert answer["ok"] == [
        {
            "name": "best_products",
            "columns": ["id", 'of"quote'],
            "rows": 2,
            "first": [["1", None], ["2", "x"]],
        },
        {"name": "customers", "columns": ["id"], "rows": 7, "first": []},
    ]
    calls = [json.loads(line) for line in psql.read_text().splitlines()]
    assert all("reader" in call["argv"] for call in calls)
    assert 'left("of""quote"::text, 1000)' in calls[1]["sql"]
    assert "limit 5" in calls[1]["sql"].split('gold."customers"')[0]
    assert "limit" not in calls[1]["sql"].split('gold."customers"')[1]


def test_the_readers_password_is_in_no_argument_and_no_variable(psql: Path) -> None:
    ask("gold", port=5432, shown=[])
    for call in map(json.loads, psql.read_text().splitlines()):
        assert call["passfile"] == "*:*:*:*:hunter2-of-reader\n"
        assert call["mode"] == stat.filemode(stat.S_IFREG | 0o600)
        assert "hunter2" not in json.dumps([call["argv"], call["env"], call["sql"]])


def test_what_it_does_not_know_it_refuses() -> None:
    assert ask("exec", code="1")["error"]["text"] == "there is no operation exec"
