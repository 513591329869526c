"""Google credentials go to Google, and elsewhere only where somebody outside the repository said so."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import requests

from hangar.cloud.gcp import endpoint
from hangar.errors import HangarError


def test_without_a_setting_it_is_google() -> None:
    assert endpoint.base(None, "compute") == "https://compute.googleapis.com"
    assert (
        endpoint.base("https://{api}-hangar.p.googleapis.com", "iam") == "https://iam-hangar.p.googleapis.com"
    )


@pytest.mark.parametrize(
    "address",
    ["https://evil.example.org", "https://googleapis.com.evil.example.org", "https://evilgoogleapis.com",
     "http://127.0.0.1:8080"],
)  # fmt: skip
def test_no_other_host_is_trusted_by_itself(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANGAR_ALLOW_API_HOST", raising=False)
    with pytest.raises(HangarError) as refused:
        endpoint.base(address, "compute")
    assert refused.value.resolution.startswith("If you trust it with them: export HANGAR_ALLOW_API_HOST=")


@pytest.mark.parametrize(
    "address",
    ["https://evil.example.org\\.googleapis.com", "https://{api}.evil.example.org\\.googleapis.com",
     "https://evil.example.org\\@compute.googleapis.com", "https://me@compute.googleapis.com",
     "https://evil.example.org;.googleapis.com", "https://evil.example.org%2f.googleapis.com"],
)  # fmt: skip
def test_a_host_that_libraries_read_differently_is_nobodys(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To `requests` the first of them is evil.example.org, whatever the end of the name says."""
    sent_to = requests.Request("GET", f"{address.replace('{api}', 'compute')}/compute/v1").prepare().url
    monkeypatch.delenv("HANGAR_ALLOW_API_HOST", raising=False)
    with pytest.raises(HangarError, match="which is not Google's"):
        endpoint.base(address, "compute")
    if "\\" in address:
        assert urlsplit(str(sent_to)).hostname in ("evil.example.org", "compute.evil.example.org")


@pytest.mark.parametrize("address", ["https:///compute", "https://:443"])
def test_an_address_without_a_host_is_nobodys(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANGAR_ALLOW_API_HOST", raising=False)
    with pytest.raises(HangarError, match="which is not Google's"):
        endpoint.base(address, "compute")


def test_a_credential_never_travels_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "gateway.example.org,127.0.0.1")
    with pytest.raises(HangarError) as refused:
        endpoint.base("http://gateway.example.org", "compute")
    assert refused.value.brief == "http://gateway.example.org would carry a credential in clear."
    assert refused.value.resolution == "Give https://gateway.example.org instead."
    assert endpoint.base("http://127.0.0.1:8080", "compute") == "http://127.0.0.1:8080"


def test_a_host_that_was_allowed_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "gateway.example.org")
    assert endpoint.base("https://gateway.example.org", "compute") == "https://gateway.example.org"
    with pytest.raises(HangarError):
        endpoint.base("https://other.example.org", "compute")
