"""Notification: to Slack where its connection exists, to the log otherwise, and never at the pipeline's cost."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hangar_dags import notify


@pytest.fixture
def slack(connections):
    """Takes messages, or answers what the test says."""
    taken, status = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Tests print what matters."""

        def do_POST(self):
            taken.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(status[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/services/secret-of-slack"
    connections(notify_slack={"conn_type": "http", "password": address})
    yield taken, status
    server.shutdown()


def test_without_the_connection_it_stays_in_the_log(connections, caplog):
    with caplog.at_level(logging.INFO):
        notify.tell("all is well")
    assert "No connection notify_slack, so this stays here: all is well" in caplog.text


def test_slack_gets_the_text(slack):
    notify.tell("x" * 5000)
    assert slack[0] == [("/services/secret-of-slack", {"text": "x" * 3000})]


def test_what_a_file_or_a_source_is_called_calls_nobody_and_leads_nowhere(slack):
    notify.tell("orders<!channel>.zip: <https://elsewhere.example|your log-in> & more")
    ((_, message),) = slack[0]
    assert message == {
        "text": "orders&lt;!channel&gt;.zip: &lt;https://elsewhere.example|your log-in&gt; &amp; more"
    }


@pytest.mark.parametrize("status", [404, 500])
def test_slack_that_refuses_costs_nothing_and_its_address_stays_hidden(slack, caplog, status):
    slack[1][0] = status
    notify.tell("all is well")
    assert f"Slack did not take it (HTTPError, {status}): all is well" in caplog.text
    assert "secret-of-slack" not in caplog.text


def test_slack_that_is_not_there_costs_nothing_and_its_address_stays_hidden(connections, caplog):
    connections(notify_slack={"conn_type": "http", "password": "http://127.0.0.1:1/services/secret-of-slack"})
    notify.tell("all is well")
    assert "Slack did not take it (ConnectionError, no answer): all is well" in caplog.text
    assert "secret-of-slack" not in caplog.text


def test_a_failed_run_reaches_slack_with_its_reason(slack, airbyte, run):
    airbyte.statuses, airbyte.why = ["failed"], "The password expired."
    run("airbyte_sync", change=lambda task: setattr(task, "retries", 0))
    ((_, message),) = slack[0]
    assert message["text"].startswith(":x: airbyte_sync.sync failed in manual__")
    assert message["text"].endswith("faker_to_warehouse failed: The password expired.")
