from __future__ import annotations

from pathlib import Path

import pytest

from hangar import trust

ONE = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
TWO = "-----BEGIN CERTIFICATE-----\nREVG\n-----END CERTIFICATE-----\n"


def test_a_bundle_yields_each_certificate_by_number(tmp_path: Path) -> None:
    file = tmp_path / "my company.pem"
    file.write_text(f"Company\n{ONE}\n{TWO}")
    assert trust.certificates([file]) == (
        trust.Certificate("my-company-1", ONE),
        trust.Certificate("my-company-2", TWO),
    )


def test_the_computers_added_authorities_are_found_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.crt").write_text(ONE)
    (tmp_path / "again.crt").write_text(ONE)
    (tmp_path / "sub" / "a.crt").write_text(TWO)
    (tmp_path / "notes.txt").write_text(ONE)
    monkeypatch.setattr(trust, "ADDED", (tmp_path, tmp_path / "none"))
    assert trust.certificates(None) == (trust.Certificate("a", ONE), trust.Certificate("a-again-2", TWO))


def test_none_named_means_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.crt").write_text(ONE)
    monkeypatch.setattr(trust, "ADDED", (tmp_path,))
    assert trust.certificates([]) == ()
