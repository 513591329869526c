"""Whose credentials go where, and what is said when there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hangar.cloud.gcp.credentials import Session
from hangar.errors import CloudError
from tests.gcp.conftest import Environment


def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    """A login as `gcloud auth application-default login` leaves it."""
    file = tmp_path / "adc.json"
    login = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r", **more}
    file.write_text(json.dumps(login))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))


def test_a_persons_calls_are_counted_for_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    person(tmp_path, monkeypatch)
    assert Session("acme-data-1", "production").credentials.quota_project_id == "acme-data-1"
    person(tmp_path, monkeypatch, quota_project_id="another")
    assert Session("acme-data-1", "production").credentials.quota_project_id == "another"


def test_a_key_that_google_does_not_know_ends_in_words(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = json.loads(environment.google.key_file().read_text())
    file = tmp_path / "stranger.json"
    file.write_text(json.dumps({**key, "client_email": "stranger@hangar-test.iam.gserviceaccount.com"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(CloudError) as ended:
        environment.plan()
    assert ended.value.brief == "Your Google login has ended."
    assert ended.value.resolution == "Log in: gcloud auth application-default login"


def test_a_network_that_is_away_is_not_called_a_login_that_ended(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = json.loads(environment.google.key_file().read_text())
    file = tmp_path / "away.json"
    file.write_text(json.dumps({**key, "token_uri": "http://127.0.0.1:9/token"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(CloudError) as away:
        environment.plan()
    assert away.value.brief == "Google cannot be reached to renew your login."
