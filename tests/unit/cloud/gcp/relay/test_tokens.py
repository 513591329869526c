from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from hangar.cloud.gcp.relay import tokens
from hangar.cloud.gcp.relay.endings import Broken
from hangar.cloud.gcp.relay.target import Target
from hangar.cloud.gcp.relay.tokens import Tokens
from hangar.errors import HangarError
from tests.token_server import TokenServer

TARGET = Target("p", "z", "vm")


def test_a_token_is_kept_until_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TokenServer(tmp_path) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.file))
        found = Tokens(TARGET)
        found.fetch_early()
        assert [found.get(False), found.get(False)] == ["secret-token-1", "secret-token-1"]
        assert found.get(True) == "secret-token-2"
        assert server.issued == 2


def test_google_out_of_reach_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TokenServer(tmp_path) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.file))
    with pytest.raises(Broken) as caught:
        Tokens(TARGET).get(False)
    assert caught.value.error.brief == "wss://tunnel.cloudproxy.app cannot be reached."
    assert "refused" in caught.value.error.details


def test_a_file_that_is_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials.json"
    file.write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    found = Tokens(TARGET)
    found.fetch_early()  # says nothing by itself
    with pytest.raises(HangarError) as caught:
        found.get(False)
    assert caught.value.brief == "There are no Google credentials here."
    assert caught.value.resolution == tokens.LOG_IN


def test_the_metadata_server_is_behind_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example.org:3128")

    def proxies(url: str) -> list[dict[str, str]]:
        kind = urllib.request.ProxyHandler
        return [one.proxies for one in tokens._opener(url).handlers if isinstance(one, kind)]

    assert proxies("http://metadata.google.internal/computeMetadata/v1/") in ([], [{}])
    assert proxies("http://oauth2.googleapis.com/token")[0]["http"] == "http://proxy.example.org:3128"
