from __future__ import annotations

import pytest

from hangar.cloud.gcp.relay.target import Target, require_trusted
from hangar.errors import HangarError


def test_the_addresses_are_those_that_iap_knows() -> None:
    target = Target("my project", "europe-west6-a", "vm", port=2222, interface="nic1")
    assert target.connect_url() == (
        "wss://tunnel.cloudproxy.app/v4/connect?project=my+project&zone=europe-west6-a&instance=vm&interface=nic1"
        "&port=2222&newWebsocket=True"
    )
    assert target.reconnect_url("a/b", 7) == (
        "wss://tunnel.cloudproxy.app/v4/reconnect?sid=a%2Fb&ack=7&zone=europe-west6-a&newWebsocket=True"
    )


@pytest.mark.parametrize(
    "endpoint",
    ["wss://tunnel.cloudproxy.app", "wss://mtls.tunnel.cloudproxy.app:443", "wss://x-iap.p.googleapis.com"],
)
def test_google_gets_a_credential(endpoint: str) -> None:
    require_trusted(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "wss://example.org", "wss://tunnel.cloudproxy.app.example.org", "wss://evilgoogleapis.com",
        "wss://127.0.0.1:8080", "ws://127.0.0.1:8080", "wss://example.org\\.googleapis.com",
    ],
)  # fmt: skip
def test_nobody_else_gets_one(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "")
    with pytest.raises(HangarError, match="is none of Google's hosts, so it gets no Google credential"):
        require_trusted(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://tunnel.cloudproxy.app", "tunnel.cloudproxy.app", "wss://tunnel.cloudproxy.app@example.org",
        "wss://example.org/?x=tunnel.cloudproxy.app", "wss://tunnel.cloudproxy.app/v4", "wss://", "wss://[", "",
        "wss://tunnel.cloudproxy.app:99999", "wss://tunnel.cloudproxy.app#@example.org",
    ],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(HangarError, match="is no endpoint of a tunnel"):
        require_trusted(endpoint)


def test_a_host_is_allowed_outside_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "127.0.0.1, relay.example.org")
    require_trusted("ws://127.0.0.1:8080")
    require_trusted("wss://Relay.example.org")
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "127.0.0.1:8080,relay.example.org")
    require_trusted("ws://127.0.0.1:8080")
    with pytest.raises(HangarError, match="is none of Google's hosts"):
        require_trusted("ws://127.0.0.1:8081")
    with pytest.raises(HangarError, match=r"ws://relay\.example\.org would carry a credential in clear"):
        require_trusted("ws://relay.example.org")
    with pytest.raises(HangarError) as caught:
        require_trusted("wss://other.example.org")
    assert caught.value.resolution == (
        "If you trust it with yours: export HANGAR_ALLOW_API_HOST=other.example.org"
    )
