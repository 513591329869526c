"""Alerts of a whole machine, from their cause to whom platform.yml names and back: each within 90 seconds."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.e2e.test_restart import BACK_WITHIN, healthy_again
from tests.matrix.test_data_reliability import ENDS, until
from tests.matrix.test_kills import compose

TOLD_WITHIN = 90
"""Seconds from a cause, or its end, to the message."""

SECRET = "MATRIX_URL"

DOOMED = "/srv/airflow/dags/doomed.py"
DAG = """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("doomed", schedule=None, catchup=False):
    BashOperator(task_id="work", bash_command="COMMAND", retries=0)
"""
FIGURES = "/srv/monitoring/figures/backup.prom"


@dataclass
class Receiver:
    """Takes alerts as a webhook does, where the machine can reach it: what it got, each with its moment."""

    url: str = ""
    got: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def told(self, status: str, name: str, **labels: str) -> dict[str, Any] | None:
        """The last that was said of an alert, where that is `status` (firing or resolved)."""
        said = [one for _, one in self.got if one["labels"]["alertname"] == name
                and labels.items() <= one["labels"].items()]  # fmt: skip
        return said[-1] if said and said[-1]["status"] == status else None


@contextmanager
def listening(address: str) -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.got += [(time.monotonic(), alert) for alert in message["alerts"]]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """What comes is kept, not printed."""

    with ThreadingHTTPServer((address, 0), Handler) as server:
        receiver.url = f"http://{address}:{server.server_port}/"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield receiver
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def receiver(machine: Checkout) -> Iterator[Receiver]:
    """Who is told, as a user names it: in platform.yml, its place as a secret on the machine."""
    settings = machine.platform
    before = settings.read_text()
    told = yaml.safe_load(before)
    told.setdefault("monitoring", {})["alerts"] = {"matrix": {"kind": "webhook", "secret": SECRET}}
    # This computer, as the machine sees it: the way that leads out of its network.
    outside = machine.ssh("ip -4 route show default").stdout.split()[2]
    with listening(outside) as found:
        settings.write_text(yaml.safe_dump(told, sort_keys=False))
        try:
            machine.hangar("up", "--yes")
            machine.ssh(f"sudo monitoring set {SECRET}", input=found.url)
            yield found
        finally:
            settings.write_text(before)
            machine.ssh(f"sudo rm -f /srv/monitoring/secrets/{SECRET}")
            machine.hangar("up", "--yes")


def status(machine: Checkout) -> str:
    return machine.hangar("status").stdout


def says(machine: Checkout, alert: dict[str, Any]) -> bool:
    """Whether `status` shows the alert with its reason and what to do."""
    said, words = status(machine), alert["annotations"]
    # A reason may hold an age, which grows.
    reason = re.split(r" \d", words["reason"])[0]
    return f"{alert['labels']['level']}: {reason}" in said and words["action"].rstrip(".") in said


def comes_and_goes(
    machine: Checkout, receiver: Receiver, name: str, *, cause: Callable[[], object], cure: Callable[[], object],
    level: str, reason: str, action: str, **labels: str,
) -> None:  # fmt: skip
    """The alert is told in time with its level, reason and what to do; `status` has it; its end is told in time."""
    assert receiver.told("firing", name, **labels) is None
    cause()
    began = time.monotonic()
    try:
        until(lambda: receiver.told("firing", name, **labels) is not None, TOLD_WITHIN, f"{name} is not told")
        after = time.monotonic() - began
        alert = receiver.told("firing", name, **labels)
        assert alert is not None
        assert alert["labels"]["level"] == level
        assert re.fullmatch(reason, alert["annotations"]["reason"]), alert["annotations"]["reason"]
        assert action in alert["annotations"]["action"]
        until(lambda: says(machine, alert), TOLD_WITHIN, f"status does not show {alert['annotations']}")
    finally:
        cure()
    began = time.monotonic()
    until(lambda: receiver.told("resolved", name, **labels) is not None, TOLD_WITHIN, f"{name} does not end")
    print(f"{name}: told after {after:.0f} s, its end after {time.monotonic() - began:.0f} s")
    assert not says(machine, alert)


@pytest.mark.parametrize(("cause", "cure"), [("stop", "start"), ("pause", "unpause")])
def test_a_scheduler_that_stops_or_hangs(
    machine: Checkout, receiver: Receiver, cause: str, cure: str
) -> None:
    """The container of one that hangs runs, and so it is not Docker that could tell."""

    def back() -> None:
        machine.ssh(f"{compose('airflow')} {cure} scheduler")
        until(lambda: healthy_again(machine), BACK_WITHIN, "Airflow did not come back")

    comes_and_goes(
        machine, receiver, "AirflowSchedulerSilent",
        cause=lambda: machine.ssh(f"{compose('airflow')} {cause} scheduler"), cure=back,
        level="critical", reason=r"Airflow's scheduler gives no sign of life; no task starts\.",
        action="./provision.py logs airflow",
    )  # fmt: skip


def test_a_dag_that_fails(machine: Checkout, receiver: Receiver) -> None:
    """The next run that ends well is its end."""

    def write(command: str) -> None:
        machine.ssh(f"tee {DOOMED}", input=DAG.replace("COMMAND", command))

    def has_run(state: str) -> None:
        assert Airflow.of(machine).run("doomed", ENDS)["state"] == state

    def mend() -> None:
        write("true")
        source = "/api/v2/dagSources/doomed"
        until(
            lambda: '"true"' in Airflow.of(machine).call("GET", source)["content"],
            ENDS,
            "it is not read anew",
        )
        has_run("success")

    write("false")
    try:
        Airflow.of(machine).wait_for_dag("doomed")
        comes_and_goes(
            machine, receiver, "DagRunFailed", cause=lambda: has_run("failed"), cure=mend, dag="doomed",
            level="warning", reason=r"A run of the DAG doomed has failed\.", action="./provision.py tunnel",
        )  # fmt: skip
    finally:
        machine.ssh(f"rm -f {DOOMED}")


def test_a_backup_that_grows_old(machine: Checkout, receiver: Receiver) -> None:
    """What the alert tells to do is its end."""
    machine.hangar("backup now")
    two_days_ago = int(time.time()) - 2 * 86400
    name = "hangar_backup_last_success_timestamp_seconds"
    comes_and_goes(
        machine, receiver, "BackupOld",
        cause=lambda: machine.ssh(f"sudo sed -i 's/^{name} .*/{name} {two_days_ago}/' {FIGURES}"),
        cure=lambda: machine.hangar("backup now"),
        level="critical", reason=r"There has been no good backup for 2d 0h \d+m \d+s\.",
        action="./provision.py backup now",
    )  # fmt: skip


def test_everything_is_well_afterwards(machine: Checkout, receiver: Receiver) -> None:
    assert "BackupOld" not in json.dumps(json.loads(machine.hangar("status", "--json").stdout)["alerts"])
    report = machine.report()
    assert [promise for promise in report["promises"] if promise["outcome"] == "broken"] == []
