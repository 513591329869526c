"""Whether a key would be let in, as OpenSSH's client reports what the server said."""

import getpass
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hangar import paths, process
from hangar.cloud.base import Server
from hangar.errors import MachineUnreachable
from hangar.ssh import admission, client_config, keys, known_hosts
from tests.sshd import SSHD, Host

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

    monkeypatch.setattr(process, "bounded", run)
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


SENT_AWAY = """\
debug1: kex_exchange_identification: banner line 0: Not allowed at this time
kex_exchange_identification: Connection closed by remote host
"""
"""What OpenSSH 9.2's client said of a server 10.0 that had seen four of its logins fail."""


def test_the_servers_penalty_for_the_keys_before_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, repo: Path, key: str
) -> None:
    said = [SENT_AWAY, SENT_AWAY, DENIED]
    monkeypatch.setattr(
        process, "bounded", lambda argv, **_: process.Completed(tuple(argv), 255, "", said.pop(0))
    )
    monkeypatch.setattr(admission, "PAUSE", 0.0)
    assert not admission.is_admitted("local", "ana", key)
    assert said == []


def test_a_penalty_without_an_end_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch, repo: Path, key: str
) -> None:
    answers(monkeypatch, SENT_AWAY)
    monkeypatch.setattr(admission, "PATIENCE", 0.0)
    monkeypatch.setattr(admission, "PAUSE", 0.0)
    with pytest.raises(MachineUnreachable) as error:
        admission.is_admitted("local", "ana", key)
    assert (error.value.brief, error.value.details, error.value.resolution) == (
        "hangar-local turns this computer away for logins that failed.",
        "Waited 0 s for sshd's penalty (PerSourcePenalties) to pass.",
        "Run the same again in ten minutes: no penalty lasts longer.",
    )


@pytest.mark.skipif(SSHD is None, reason="needs Debian's openssh-server")
def test_a_real_server_says_whom_it_would_let_in_and_nobody_is(
    server: Server, tmp_path: Path, key: str
) -> None:
    """Nor does the operator's key, which opens the operator's account here too, stand in for another's"""
    private = paths.default_private_key("local")
    own, account = keys.ensure_key(private, "operator"), getpass.getuser()
    host = Host(tmp_path / "machine", key)
    host.start("LogLevel VERBOSE")
    try:
        server = replace(server, port=host.port, admin=account, host_keys=(" ".join(host.key.split()[:2]),))
        known_hosts.pin(server, paths.known_hosts("local"))
        client_config.write(server, private)
        (tmp_path / "ana").unlink()  # the private half is on somebody else's computer
        assert admission.is_admitted("local", account, key)
        assert not admission.is_admitted("local", account, own)
        admitted = host.folder / "admitted"
        admitted.write_text(f'expiry-time="20260101Z" {key}\n')
        assert not admission.is_admitted("local", account, key), "the day of the key has come"
        assert host.logins() == 0
        admitted.write_text(f"{own}\n")
        assert not admission.is_admitted("local", account, key)
        assert host.logins() == 1, "the operator, by their own"
    finally:
        host.stop()
    with pytest.raises(MachineUnreachable, match="hangar-local does not say whom it lets in"):
        admission.is_admitted("local", account, key)
