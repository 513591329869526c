from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hangar import paths
from hangar.cloud.gcp import iap


@pytest.fixture
def gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "gcloud"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


RELAY = (
    sys.executable, "-I", str(paths.REPO / "hangar/cloud/gcp/relay"), "--project", "p", "--zone", "z-a",
    "--instance", "vm", "--port", "22", "--interface", "nic0",
)  # fmt: skip


def test_gcloud_is_used_where_it_is_installed(gcloud: Path) -> None:
    assert iap.proxy_command("p", "z-a", "vm") == (
        str(gcloud), "compute", "start-iap-tunnel", "vm", "22", "--listen-on-stdin", "--project", "p",
        "--zone", "z-a", "--network-interface", "nic0", "--verbosity", "warning",
    )  # fmt: skip


def test_the_relay_is_used_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert iap.proxy_command("p", "z-a", "vm") == RELAY


def test_either_can_be_asked_for(gcloud: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert iap.proxy_command("p", "z-a", "vm", means="relay") == RELAY
    monkeypatch.setenv("PATH", "/nowhere")
    assert iap.proxy_command("p", "z-a", "vm", means="gcloud")[0] == "gcloud", (
        "ssh then says that it is missing"
    )


def test_an_endpoint_of_ones_own_goes_to_the_relay(gcloud: Path) -> None:
    command = iap.proxy_command("p", "z-a", "vm", endpoint="wss://t.example.org")
    assert command == (*RELAY, "--endpoint", "wss://t.example.org")


def test_the_relay_starts_from_any_folder(tmp_path: Path) -> None:
    done = subprocess.run([*RELAY[:3], "--help"], cwd=tmp_path, capture_output=True, text=True, env={})
    assert done.returncode == 0
    assert "--project" in done.stdout
