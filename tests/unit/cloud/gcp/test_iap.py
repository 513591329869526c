from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hangar import paths
from hangar.cloud.gcp import iap


@pytest.fixture
def gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program, logged in as ada."""
    program = tmp_path / "gcloud"
    program.write_text(
        '#!/bin/sh\ntest "$*" = "auth list --filter=status:ACTIVE --format=value(account)" && echo ada@example.org\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(iap.OWN_LOGIN, raising=False)
    return program


RELAY = (
    sys.executable, "-I", str(paths.REPO / "hangar/cloud/gcp/relay"), "--project", "p", "--zone", "z-a",
    "--instance", "vm", "--port", "22", "--interface", "nic0",
)  # fmt: skip


def test_gcloud_is_used_where_it_is_logged_in(gcloud: Path) -> None:
    assert iap.proxy_command("p", "z-a", "vm") == (
        str(gcloud), "compute", "start-iap-tunnel", "vm", "22", "--listen-on-stdin", "--project", "p",
        "--zone", "z-a", "--network-interface", "nic0", "--verbosity", "warning",
    )  # fmt: skip
    assert iap.choose().why == "logged in as ada@example.org"


def test_the_relay_is_used_where_gcloud_is_not(gcloud: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert iap.proxy_command("p", "z-a", "vm") == RELAY
    assert iap.choose().why == "gcloud is not installed"


def test_the_relay_is_used_where_gcloud_would_not_use_the_login(
    gcloud: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner of CI, say, whose key file is all that it has."""
    monkeypatch.setenv(iap.OWN_LOGIN, "/key.json")
    assert iap.proxy_command("p", "z-a", "vm") == RELAY
    assert iap.choose().why == "GOOGLE_APPLICATION_CREDENTIALS is set, which gcloud does not use"


@pytest.mark.parametrize("ending", ["exit 0", "echo ada; exit 1"])
def test_the_relay_is_used_where_gcloud_has_no_login(gcloud: Path, ending: str) -> None:
    gcloud.write_text(f"#!/bin/sh\n{ending}\n")
    assert iap.proxy_command("p", "z-a", "vm") == RELAY
    assert iap.choose().why == "gcloud has no login"


def test_either_can_be_asked_for(gcloud: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert iap.proxy_command("p", "z-a", "vm", means="relay") == RELAY
    monkeypatch.setenv(iap.OWN_LOGIN, "/key.json")
    assert iap.proxy_command("p", "z-a", "vm", means="gcloud")[0] == str(gcloud)
    monkeypatch.setenv("PATH", "/nowhere")
    assert iap.proxy_command("p", "z-a", "vm", means="gcloud")[0] == "gcloud", (
        "ssh then says that it is missing"
    )


def test_our_relay_is_known_by_its_words(gcloud: Path) -> None:
    assert iap.is_relay(RELAY)
    assert not iap.is_relay(iap.proxy_command("p", "z-a", "vm"))


def test_an_endpoint_of_ones_own_goes_to_the_relay(gcloud: Path) -> None:
    command = iap.proxy_command("p", "z-a", "vm", endpoint="wss://t.example.org")
    assert command == (*RELAY, "--endpoint", "wss://t.example.org")


def test_the_relay_starts_from_any_folder(tmp_path: Path) -> None:
    done = subprocess.run([*RELAY[:3], "--help"], cwd=tmp_path, capture_output=True, text=True, env={})
    assert done.returncode == 0
    assert "--project" in done.stdout
