from __future__ import annotations

import ssl

import pytest

from hangar.cloud.gcp.relay import tls


def test_names_and_certificates_are_verified() -> None:
    found = tls.context()
    assert found.verify_mode is ssl.CERT_REQUIRED
    assert found.check_hostname


def test_a_python_that_finds_no_store_still_knows_the_public_authorities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ssl, "create_default_context", lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    monkeypatch.setattr(tls, "_has_store", lambda: False)
    assert tls.context().cert_store_stats()["x509_ca"] > 50
    monkeypatch.setattr(tls, "_has_store", lambda: True)
    assert tls.context().cert_store_stats()["x509_ca"] == 0, "what the system trusts is not made wider"
