"""The monitoring's programs on the machine: what they make of what they hear, and what they refuse."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlparse

import pytest
from hangar_monitoring import (
    containers,
    entries,
    logs,
    loop,
    passwords,
    prometheus,
    room,
    services,
    system,
    task_logs,
)  # fmt: skip
from hangar_monitoring.described import Refused
from hangar_monitoring.figures import figure, text, write
from hangar_monitoring.statsd import FORGOTTEN_AFTER, MOST_NAMES, Airflow


def test_figures_stand_together_under_their_name_and_no_label_breaks_out() -> None:
    shown = text(
        [figure("b", 1, name='a"} 1\nevil 1'), figure("a_total", 2), figure("b", 3), figure("a_total", 4)]
    )
    assert shown.splitlines() == [
        "# TYPE a_total counter",
        "a_total 4.0",
        "# TYPE b gauge",
        "b 3.0",
        'b{name="a\\"} 1\\nevil 1"} 1.0',
    ]


def test_no_name_steers_the_terminal_that_shows_it() -> None:
    shown = text([figure("a", 1, dag="b\x1b[2Jc\x9b2J\r\x7fd é")])
    assert shown.splitlines()[1] == 'a{dag="b?[2Jc?2J??d é"} 1.0'


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    place = tmp_path / "x.prom"
    write([figure("a", 1)], place)
    write([figure("a", 2)], place)
    assert place.read_text() == "# TYPE a gauge\na 2.0\n"
    assert list(tmp_path.iterdir()) == [place]


def values(airflow: Airflow, now: float = 0.0) -> dict[str, float]:
    return {f"{one.name}{dict(one.labels) or ''}": one.value for one in airflow.figures(now)}


def test_airflows_figures_are_kept_by_name_and_the_rest_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    heard = Airflow()
    heard.receive(
        b"airflow.scheduler_heartbeat:1|c\nairflow.scheduler_heartbeat:1|c\nairflow.executor.queued_tasks:5|g\n"
        b"airflow.pool.open_slots.default_pool:128|g\nairflow.dagrun.duration.failed.a.b:1500|ms\n"
        b"airflow.dagrun.duration.failed:1500|ms\nairflow.task.duration:1|ms\nother.ti_failures:1|c",
        now=0,
    )
    assert values(heard) == {
        "airflow_scheduler_heartbeat": 2.0,
        "airflow_executor_queued_tasks": 5.0,
        "airflow_pool_slots{'pool': 'default_pool', 'state': 'open'}": 128.0,
        "airflow_dagrun_seconds_count{'dag': 'a.b', 'state': 'failed'}": 1.0,
        "airflow_dagrun_seconds_sum{'dag': 'a.b', 'state': 'failed'}": 1.5,
        "airflow_dagrun_last_timestamp_seconds{'dag': 'a.b', 'state': 'failed'}": 1_800_000_000.0,
    }


@pytest.mark.parametrize(
    "packet", [b"", b"\xff\xfe", b"airflow.ti_failures", b"airflow.ti_failures:x|c", b"a:b:c|d|e"]
)
def test_what_is_no_figure_is_dropped(packet: bytes) -> None:
    heard = Airflow()
    heard.receive(packet)
    assert values(heard) == {}


@pytest.mark.parametrize(
    "name", ["<!channel>", "<https://evil.example|sales>", "a b", "daily\x1b[2J", "täglich"]
)
def test_a_name_that_airflow_itself_never_sends_reaches_no_alert(name: str) -> None:
    """Whoever writes DAGs may send datagrams as well, and chats read words like these as commands and links."""
    heard = Airflow()
    heard.receive(f"airflow.dagrun.duration.failed.{name}:1|ms\nairflow.pool.open_slots.{name}:1|g".encode())
    assert values(heard) == {}
    assert list(heard.ended) == []


def test_whoever_writes_dags_cannot_fill_the_memory_with_names() -> None:
    heard = Airflow()
    for number in range(MOST_NAMES * 2):
        heard.receive(f"airflow.dagrun.duration.success.dag{number}:1|ms".encode())
        heard.receive(f"airflow.pool.open_slots.pool{number}:1|g".encode(), now=0)
    assert len(heard.counters) == len(heard.gauges) == len(heard.ended) == MOST_NAMES


def test_a_gauge_that_nobody_sends_any_more_is_forgotten_and_a_counter_is_not() -> None:
    heard = Airflow()
    heard.receive(b"airflow.executor.queued_tasks:5|g\nairflow.ti_failures:1|c", now=0)
    assert set(values(heard, FORGOTTEN_AFTER - 1)) == {"airflow_executor_queued_tasks", "airflow_ti_failures"}
    assert set(values(heard, FORGOTTEN_AFTER + 1)) == {"airflow_ti_failures"}


def test_a_source_that_fails_says_so_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> list[object]:
        raise OSError("no such thing")

    source = loop.Source("broken", 15, broken)  # type: ignore[arg-type]
    source.ask()
    source.ask()
    assert figure("hangar_measured_ok", 0, source="broken") in source.known
    # Once, not every time.
    assert capsys.readouterr().err == "broken cannot be measured: OSError: no such thing\n"


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    found = {"/": 1 << 40, "/srv": 1 << 40}
    monkeypatch.setattr(room, "left", found.__getitem__)
    return found


ENTRY = {
    "name": "NoRoomLeft",
    "level": "critical",
    "reason": "{{ $labels.mountpoint }} is full.",
    "action": "Look at {{ $labels.mountpoint }}.",
}


def test_a_disk_without_room_is_told_again_and_again_until_there_is_some(left: dict[str, int]) -> None:
    told: list[dict[str, Any]] = []
    watching = room.Room(ENTRY, told.extend)
    watching.look(0)
    left["/srv"] = room.LEAST - 1
    watching.look(5)
    watching.look(19)
    assert told == []  # not for long enough
    watching.look(20)
    (alert,) = told
    assert alert["labels"] == {"alertname": "NoRoomLeft", "level": "critical", "mountpoint": "/srv"}
    assert alert["annotations"] == {"reason": "/srv is full.", "action": "Look at /srv."}
    watching.look(45)
    assert len(told) == 1
    watching.look(50)
    assert len(told) == 2
    left["/srv"] = room.LEAST
    watching.look(55)
    watching.look(60)
    assert len(told) == 3
    now = datetime.now(UTC)
    assert datetime.fromisoformat(told[1]["endsAt"]) > now > datetime.fromisoformat(told[2]["endsAt"])


def test_what_alertmanager_did_not_hear_is_told_again(
    left: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[dict[str, Any]] = []

    def deaf(_: list[dict[str, Any]]) -> None:
        raise Refused("it does not answer")

    watching = room.Room(ENTRY, deaf)
    left["/"] = 0
    for moment in (0, 15, 20):
        watching.look(moment)
    assert capsys.readouterr().err == "it does not answer\n"
    watching.tell = told.extend
    watching.look(25)
    assert [one["labels"]["mountpoint"] for one in told] == ["/"]


def test_the_dashboard_is_shown_what_prometheus_cannot_take_in(left: dict[str, int], tmp_path: Path) -> None:
    """Whether Alertmanager heard it or not."""

    def deaf(_: list[dict[str, Any]]) -> None:
        raise Refused("it does not answer")

    watching, place = room.Room(ENTRY, deaf), tmp_path / "told.json"
    left["/srv"] = 0
    for moment, alerts in ((0, 0), (14, 0), (15, 1), (75, 1)):
        watching.look(moment)
        room.show(watching.firing(moment), place)
        shown = json.loads(place.read_text())["alerts"]
        assert len(shown) == alerts, moment
    (alert,) = shown
    assert alert["state"] == "firing"
    assert alert["labels"] == {"alertname": "NoRoomLeft", "level": "critical", "mountpoint": "/srv"}
    assert alert["annotations"]["reason"] == "/srv is full."
    assert 70 < (datetime.now(UTC) - datetime.fromisoformat(alert["activeAt"])).total_seconds() < 80
    left["/srv"] = room.LEAST
    watching.look(80)
    assert watching.firing(80) == []


def test_a_full_memory_disk_ends_neither_figures_nor_dashboard() -> None:
    with loop.unless_full():
        raise OSError(errno.ENOSPC, "no room")
    with pytest.raises(OSError, match="not yours"), loop.unless_full():
        raise OSError(errno.EACCES, "not yours")


MACHINE = {
    "machine": "hangar-night",
    "alertmanager_port": 9093,
    "prometheus_port": 9090,
    "without_figures": ENTRY,
}


def test_what_is_told_past_prometheus_names_its_machine_too(
    left: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A title says "NoRoomLeft on hangar-night": whoever has several machines has to know which."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(prometheus, "_open", lambda url, body: told.extend(json.loads(body)))
    left["/srv"] = 0
    watching = room.Room(ENTRY, lambda alerts: prometheus.tell(MACHINE, alerts))
    watching.look(0)
    watching.look(room.AFTER)
    prometheus.raise_by_hand(MACHINE)
    assert [(one["labels"]["alertname"], one["labels"]["machine"]) for one in told] == [
        ("NoRoomLeft", "hangar-night"),
        *3 * [("Test", "hangar-night")],
    ]


def test_status_gets_every_figure_with_what_tells_its_values_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no number JSON cannot carry: an empty pool's share, a pool without end."""
    pools = [("default_pool", "3"), ("endless", "+Inf"), ("strange", "NaN")]

    def told(url: str) -> dict[str, Any]:
        if url.endswith("/alerts"):
            return {"alerts": []}
        labels = {"instance": "127.0.0.1:9100", "job": "machine", "user": "airflow"}
        return {
            "result": [{"metric": {**labels, "pool": name}, "value": [0, value]} for name, value in pools]
        }

    monkeypatch.setattr(prometheus, "_get", told)
    monkeypatch.setattr(prometheus, "_told", lambda _: [])
    figures = prometheus.ask(MACHINE)["figures"]
    assert set(figures) == set(prometheus.FIGURES)
    assert figures["pool_slots"] == [{"labels": {"user": "airflow", "pool": "default_pool"}, "value": 3.0}]


def test_status_has_a_figure_for_each_thing_that_is_watched() -> None:
    """What an alert judges can be seen before it fires: the same figures stand in the answer to `status`."""
    asked = " ".join(prometheus.FIGURES.values())
    names = (
        "cpu_used", "memory_used", "swap_used", "disk_used", "inodes_used", "node_load5", "pressure_cpu",
        "pressure_memory", "pressure_io", "network_receive", "network_transmit", "timex_offset", "units_failed",
        "certificate_expires", "key_expires", "security_updates_pending", "reboot_needed", "failed_logins",
        "container_memory", "scheduler_heartbeat", "parse_time", "queued_tasks", "ti_failures", "pool_slots",
        "airbyte_jobs_failed", "airbyte_oldest_running", "postgres_connections", "postgres_size",
        "postgres_oldest_transaction", "airflow_database_connections", "backup_last_success",
    )  # fmt: skip
    assert [name for name in names if name not in asked] == []


def container(name: str, state: str, status: str, label: bool = True) -> dict[str, object]:
    labels = {"com.docker.compose.service": name} if label else {}
    return {"Labels": labels, "Names": [f"/{name}"], "State": state, "Status": status}


DOCKER = [
    container("scheduler", "running", "Up 2 days (healthy)"),
    container("loose", "exited", "Exited (1) 2 minutes ago", label=False),
    container("prepare", "exited", "Exited (0) 1 hour ago"),
    container("web", "running", "Up 1 hour (unhealthy)"),
    {**container("eager_name", "created", "Created", label=False), "Labels": {"hangar.before": ""}},
]


def test_containers_that_run_are_told_from_those_that_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "answer", lambda *_, **__: json.dumps(DOCKER))
    assert {
        (one.name, dict(one.labels).get("container"), one.value) for one in containers.states("airflow", 2001)
    } == {
        ("hangar_container_up", "scheduler", 1.0),
        ("hangar_container_healthy", "scheduler", 1.0),
        ("hangar_container_up", "loose", 0.0),
        ("hangar_container_up", "web", 1.0),
        ("hangar_container_healthy", "web", 0.0),
        ("hangar_containers", None, 3.0),
    }


def test_one_question_has_the_memory_of_all_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def docker(argv: list[str], *, uid: int) -> str:
        paths = [one.removeprefix("http://docker") for one in argv if one.startswith("http://")]
        asked.append((uid, paths))
        if paths == ["/containers/json"]:
            running = [
                {**container(name, "running", "Up 1 hour"), "Id": name[0] * 3}
                for name in ("web", "db", "new")
            ]
            return json.dumps(running) + "\n"
        stats = [
            {"memory_stats": {"usage": 30}},
            {"memory_stats": {"usage": 700, "stats": {"inactive_file": 200}, "limit": 1000}},
            {"memory_stats": {"stats": {"inactive_file": 0}}},  # a kernel that gives no figures
        ]
        return "".join(json.dumps(one) + "\n" for one in stats)

    monkeypatch.setattr(containers, "answer", docker)
    assert [
        (one.name, dict(one.labels)["container"], one.value) for one in containers.memory("airflow", 2001)
    ] == [
        ("hangar_container_memory_bytes", "web", 30.0),
        ("hangar_container_memory_bytes", "db", 500.0),
        ("hangar_container_memory_limit_bytes", "db", 1000.0),
    ]
    assert asked == [
        (2001, ["/containers/json"]),
        (2001, [f"/containers/{one}/stats?stream=false&one-shot=true" for one in ("www", "ddd", "nnn")]),
    ]


def test_where_nothing_runs_nobody_is_asked_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "answer", lambda argv, **_: "[]" if argv[-1].endswith("/json") else 1 / 0)
    assert list(containers.memory("airflow", 2001)) == []


def test_security_updates_are_told_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "Inst curl [8.1] (8.2 Debian-Security:13/stable-security [amd64])\n"
        "Inst tzdata [1] (2 Debian:13.2/stable [all])\nConf curl (8.2)\n"
    )
    monkeypatch.setattr(system, "answer", lambda *_, **__: said)
    assert list(system.updates()) == [
        figure("hangar_updates_pending", 2),
        figure("hangar_security_updates_pending", 1),
    ]


@pytest.mark.parametrize("name", ["", "a/b", "../x", "admin_password", "web.yml", "a" * 65])
def test_a_secret_has_a_name_and_does_not_replace_ours(name: str) -> None:
    with pytest.raises(Refused, match="cannot be set"):
        passwords.set_secret(name, "value")


def test_passwords_are_hashed_with_bcrypt() -> None:
    hashed = passwords._hash("secret")
    assert hashed.startswith("$2b$08$")
    assert passwords._crypt("secret", hashed) == hashed
    assert passwords._crypt("other", hashed) != hashed


def test_a_password_is_made_anew_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "SECRETS", tmp_path)
    monkeypatch.setattr(passwords, "WEB", tmp_path / "web.yml")
    monkeypatch.setattr(passwords, "MODE", 0o644)
    monkeypatch.setattr(passwords, "keep", lambda path, value, _: (path.write_text(value), path.chmod(0o644)))
    passwords.ensure()
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    passwords.renew("admin")
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"admin_password", "web.yml"}
    assert passwords._web_is_right()
    with pytest.raises(Refused, match="'root' has no password here; there are admin, scraper"):
        passwords.renew("root")


def test_a_line_of_the_journal_is_read() -> None:
    line = {"__REALTIME_TIMESTAMP": "1764000000000000", "PRIORITY": "3", "MESSAGE": list(b"a \x1b[31mbad\x1b[0m day"),
            "_SYSTEMD_UNIT": "ssh.service"}  # fmt: skip
    found = entries.of_journal(json.dumps(line), "ssh")
    assert found is not None
    assert (found.service, found.level, found.message) == ("ssh", "error", "a bad day")
    assert entries.of_journal(json.dumps({**line, "MESSAGE": None}), "ssh") is None


def test_a_line_of_a_container_is_read_with_the_job_that_it_names() -> None:
    found = entries.of_container(
        "engine-1  | 2026-11-25T05:00:00.123456789Z WARNING job 42 is slow", "airbyte"
    )
    assert found is not None
    assert found.as_text() == "2026-11-25 05:00:00 airbyte/engine: WARNING WARNING job 42 is slow  [job=42]"
    line = "scheduler-1  | 2026-11-25T05:00:00Z 05:00 [error    ] Task failed dag_id=sales run_id=manual__1 loc=x.py:1"
    found = entries.of_container(line, "airflow")
    assert found is not None
    assert (found.level, found.about) == ("error", {"dag": "sales", "run": "manual__1"})
    assert entries.of_container("no time at all", "airbyte") is None


def test_a_line_of_a_task_names_dag_run_task_and_try(tmp_path: Path) -> None:
    path = tmp_path / "dag_id=sales/run_id=manual__1/task_id=load/attempt=2.log"
    path.parent.mkdir(parents=True)
    path.write_text("")
    (found,) = task_logs.find(tmp_path, 0)
    assert tmp_path.joinpath(*found.parts) == path
    line = json.dumps({"timestamp": "2026-11-25T05:00:00Z", "level": "error", "event": "it broke"})
    entry = entries.of_task(line, found.about, datetime(2026, 1, 1, tzinfo=UTC))
    assert json.loads(entry.as_json()) == {
        "time": "2026-11-25T05:00:00+00:00", "service": "airflow/task", "level": "error", "message": "it broke",
        "dag": "sales", "run": "manual__1", "task": "load", "try": "2",
    }  # fmt: skip


@pytest.mark.parametrize("asked", ["", "[]", "{}", '{"sources": [], "lines": "x"}'])
def test_a_question_that_is_none_is_refused(asked: str) -> None:
    with pytest.raises(Refused, match="asked for as JSON"):
        logs.parse(asked)


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes the service user")
def test_images_whose_fixes_wait_are_told_of_with_the_time(tmp_path: Path) -> None:
    mark = tmp_path / "airflow/state/images-outdated"
    mark.parent.mkdir(parents=True)

    def told() -> tuple[float, float]:
        since, waiting = system.images({"airflow": os.getuid()}, tmp_path)
        assert since.name == "hangar_images_outdated_since_timestamp_seconds"
        assert waiting.name == "hangar_images_waiting"
        return since.value, waiting.value

    assert told() == (0, 0)
    mark.touch()
    os.utime(mark, (1000, 1000))
    assert told() == (1000, 0)
    # Images with the fixes are there, and the containers are of the old ones: the fixes still wait.
    mark.rename(mark.with_name("stack-changed"))
    assert told() == (1000, 1)
    mark.touch()  # and there are more
    assert told() == (1000, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes the service user")
def test_a_service_without_images_of_ours_keeps_no_other_from_being_measured(tmp_path: Path) -> None:
    """Airbyte's platform: an alert that images cannot be measured would never end."""
    (tmp_path / "airflow/state").mkdir(parents=True)
    users = {"airbyte": os.getuid(), "airflow": os.getuid()}
    assert {(one.labels, one.value) for one in system.images(users, tmp_path)} == {
        ((("user", "airbyte"),), 0), ((("user", "airflow"),), 0),
    }  # fmt: skip


def test_airflows_database_is_asked_through_its_users_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def answer(argv: list[str], **how: Any) -> str:
        asked.append((argv[:4], how["uid"]))
        return "7 100 9000000 0.5\n"

    monkeypatch.setattr(services, "answer", answer)
    found = services.airflow_database(2001)
    assert {one.name.removeprefix("hangar_airflow_database_"): one.value for one in found} == {
        "connections": 7, "max_connections": 100, "size_bytes": 9000000, "oldest_transaction_seconds": 0.5,
    }  # fmt: skip
    assert asked == [(["docker", "--host", "unix:///run/user/2001/docker.sock", "exec"], 2001)]


def certificate(path: Path, days: int) -> None:
    path.parent.mkdir(exist_ok=True)
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "/dev/null",
        "-subj",
        "/CN=test",
    ]
    subprocess.run([*argv, "-days", str(days), "-out", path], check=True, capture_output=True)


def test_the_end_of_every_certificate_is_told_wherever_it_stands(tmp_path: Path) -> None:
    certificate(tmp_path / "trusted/company.crt", 20)
    certificate(tmp_path / "forwarding/certificate.pem", 300)
    (tmp_path / "forwarding/notes.txt").write_text("no certificate")
    patterns = [f"{tmp_path}/trusted/*.crt", f"{tmp_path}/forwarding/*.pem", f"{tmp_path}/nowhere/*.pem"]
    ends = {dict(one.labels)["path"]: one.value - time.time() for one in system.certificates(patterns)}
    assert {path: round(left / 86400) for path, left in ends.items()} == {
        f"{tmp_path}/trusted/company.crt": 20,
        f"{tmp_path}/forwarding/certificate.pem": 300,
    }


def test_a_key_with_a_last_day_is_told_of_and_the_others_are_not(tmp_path: Path) -> None:
    people = tmp_path / "people.json"
    assert list(system.keys(people)) == []  # nobody but the operator
    known = [{"name": "ana", "expires": "2027-03-31"}, {"name": "ben", "expires": ""}]
    people.write_text(json.dumps({"people": known}))
    until = datetime(2027, 3, 31, tzinfo=UTC).timestamp()
    assert list(system.keys(people)) == [figure("hangar_key_expires_timestamp_seconds", until, person="ana")]


class AirbyteStand(BaseHTTPRequestHandler):
    """As much of Airbyte's public API as both engines have in common, by its description (api_sdk.yaml)."""

    JOBS: ClassVar[dict[str, list[dict[str, Any]]]] = {"failed": [{"jobId": 1}], "running": []}

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        client = {"client_id": "the-id", "client_secret": "the-secret", "grant_type": "client_credentials"}
        known = self.path == "/api/public/v1/applications/token" and body == client
        self.say(200 if known else 401, {"access_token": "t", "token_type": "Bearer", "expires_in": 900})

    def do_GET(self) -> None:
        asked = parse_qs(urlparse(self.path).query)
        known = self.headers["Authorization"] == "Bearer t" and asked["limit"] == ["100"]
        self.say(200 if known else 401, {"data": self.JOBS[asked["status"][0]]})

    def say(self, status: int, content: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("secret", ["the-secret", "another"])
def test_airbytes_jobs_are_counted_with_the_operators_client(tmp_path: Path, secret: str) -> None:
    (tmp_path / "airbyte_client_id").write_text("the-id\n")
    (tmp_path / "airbyte_client_secret").write_text(f"{secret}\n")
    began = datetime.fromtimestamp(time.time() - 7300, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    AirbyteStand.JOBS["running"] = [{"jobId": 2, "startTime": began}, {"jobId": 3}]
    with ThreadingHTTPServer(("127.0.0.1", 0), AirbyteStand) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        found = {one.name: one.value for one in services.Airbyte(server.server_port, str(tmp_path)).measure()}
        server.shutdown()
    oldest = found.pop("hangar_airbyte_oldest_running_seconds", 0)
    if secret == "another":
        assert (found, oldest) == ({"hangar_airbyte_up": 0}, 0)
    else:
        assert found == {
            "hangar_airbyte_up": 1, "hangar_airbyte_jobs_failed_last_hour": 1, "hangar_airbyte_jobs_running": 2,
        }  # fmt: skip
        assert 7290 < oldest < 7400
