"""What is measured of containers, images, updates, certificates, keys, Airflow's database and Airbyte's jobs."""

from __future__ import annotations

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
from hangar_monitoring import containers, loop, services, system
from hangar_monitoring.figures import figure

from tests.ansible.test_monitoring_room import left as left


def test_a_source_that_fails_says_so_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> list[object]:
        raise OSError("no such thing")

    source = loop.Source("broken", 15, broken)  # type: ignore[arg-type]
    source.ask()
    source.ask()
    assert figure("hangar_measured_ok", 0, source="broken") in source.known
    # Once, not every time.
    assert capsys.readouterr().err == "broken cannot be measured: OSError: no such thing\n"


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


def signed(day: str) -> str:
    return f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nDate: {day} 00:53:13 UTC\nSHA256:\n"


def test_the_age_of_the_security_list_is_told_and_of_no_other(tmp_path: Path) -> None:
    """apt-get update succeeds where a mirror is gone, and goes on with what it has: nothing would be missing."""
    assert list(system.lists(tmp_path)) == []
    place = "deb.debian.org_debian-security_dists_trixie-security"
    (tmp_path / f"{place}_InRelease").write_text(signed("Sun, 29 Nov 2026"))
    (tmp_path / f"{place}_main_binary-amd64_Packages").write_text("Package: x\n")
    # Debian's own list is of the last point release, which may be months ago.
    (tmp_path / "deb.debian.org_debian_dists_trixie_InRelease").write_text(signed("Sat, 11 Jul 2026"))
    told = figure(
        "hangar_security_list_timestamp_seconds", datetime(2026, 11, 29, 0, 53, 13, tzinfo=UTC).timestamp()
    )
    assert list(system.lists(tmp_path)) == [told]
    # What an earlier mirror left behind makes a list no older; one that has the signature beside it counts too.
    (tmp_path / "old.example.org_dists_trixie-security_InRelease").write_text(signed("Thu, 01 Jan 2026"))
    assert list(system.lists(tmp_path)) == [told]
    (tmp_path / "new.example.org_dists_trixie-security_Release").write_text(signed("Mon, 30 Nov 2026"))
    assert next(iter(system.lists(tmp_path))).value == told.value + 86400


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
