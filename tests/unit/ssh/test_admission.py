"""Whether a key would be let in, as OpenSSH's client reports what the server said."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hangar import process
from hangar.errors import MachineUnreachable
from hangar.ssh import admission, keys

ACCEPTS = "debug1: Server accepts key: /tmp/x/key.pub ED25519 {} explicit\n"
DENIED = "ana@127.0.0.1: Permission denied (publickey).\n"


@pytest.fixture
def key(tmp_path: Path) -> str:
    return keys.ensure_key(tmp_path / "ana", "ana")


def answers(monkeypatch: pytest.MonkeyPatch, stderr: str, code: int = 255) -> list[Sequence[str]]:
    calls: list[Sequence[str]] = []

    def run(argv: Sequence[str], **options: Any) -> process.Completed:
        calls.append(argv)
        return process.Completed(tuple(argv), code, "", stderr)

    monkeypatch.setattr(process, "run", run)
    return calls


def test_the_server_would_accept_the_key(monkeypatch: pytest.MonkeyPatch, repo: Path, key: str) -> None:
    said = ACCEPTS.format(admission.parse(key).fingerprint) + DENIED
    calls = answers(monkeypatch, said)
    assert admission.is_admitted("local", "ana", key)
    words = list(calls[0])
    assert words[words.index("-l") + 1] == "ana"
    assert "IdentityAgent=none" in words


def test_another_key_that_opens_is_not_this_one(
    monkeypatch: pytest.MonkeyPatch, repo: Path, key: str
) -> None:
    """The operator's key stands in the configuration too, and opens their own account."""
    answers(monkeypatch, ACCEPTS.format("SHA256:other") + DENIED)
    assert not admission.is_admitted("local", "ana", key)


def test_a_refusal_is_a_no_and_silence_is_not(monkeypatch: pytest.MonkeyPatch, repo: Path, key: str) -> None:
    answers(monkeypatch, f"debug1: Offering public key\n{DENIED}")
    assert not admission.is_admitted("local", "ana", key)
    answers(monkeypatch, "debug1: Connecting\nssh: connect to host 127.0.0.1 port 22: Connection refused\n")
    with pytest.raises(MachineUnreachable) as error:
        admission.is_admitted("local", "ana", key)
    assert error.value.details == "ssh: connect to host 127.0.0.1 port 22: Connection refused"
