"""How often the machine's host keys are looked for: the last look is what the way to SSH takes beyond the boot."""

from __future__ import annotations

import base64
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from hangar.cloud.gcp import host_keys
from hangar.cloud.gcp.host_keys import LATER, PAUSE, SOON
from hangar.cloud.gcp.names import Names
from hangar.errors import CloudError
from hangar.paths import REPO

NAMES = Names("production", "acme-data-1", "europe-west3-a")
KIND = "ssh-ed25519"
OTHERS = ("ssh-rsa", "ecdsa-sha2-nistp256")


def blob(kind: str) -> str:
    return base64.b64encode(len(kind).to_bytes(4, "big") + kind.encode() + b"key").decode()


def told(*kinds: str) -> dict[str, Any]:
    return {"queryValue": {"items": [{"key": kind, "value": blob(kind)} for kind in kinds]}}


BLOB, WRITTEN = blob(KIND), told(KIND)
OPEN = {"metadata": {"items": [{"key": "enable-guest-attributes", "value": "TRUE"}]}}


class Booting:
    """Plays Google: the machine has its keys at `boot`; from `limit` looks on they are too many."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, boot: float, limit: int | None = None) -> None:
        self.boot, self.limit, self.clock = boot, limit, 0.0
        self.before: dict[str, Any] = {}
        self.looks: list[float] = []
        monkeypatch.setattr(host_keys.time, "monotonic", lambda: self.clock)
        self.compute = self

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def glance(self, path: str, method: str, **_: str) -> dict[str, Any] | None:
        self.looks.append(self.clock)
        if self.limit is not None and len(self.looks) > self.limit and len(self.looks) < 2 * self.limit:
            return None
        return WRITTEN if self.clock >= self.boot else self.before

    def get(self, *_: str, **__: str) -> dict[str, Any]:
        return {"contents": "a kernel that hangs"}

    def wait(self) -> tuple[str, ...]:
        wanted = SimpleNamespace(names=NAMES)
        return host_keys._wait(self, wanted, OPEN, lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("boot", [0.0, 1.0, 11.0, 31.0, SOON - 1])
def test_keys_are_seen_soon_after_a_machine_has_booted(monkeypatch: pytest.MonkeyPatch, boot: float) -> None:
    booting = Booting(monkeypatch, boot)
    assert booting.wait() == (f"{KIND} {BLOB}",)
    assert booting.clock - boot <= PAUSE < 2.5


def test_a_slow_machine_is_looked_at_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    booting = Booting(monkeypatch, 200.0)
    booting.wait()
    late = [one for one in booting.looks if one > SOON + PAUSE]
    assert {after - before for before, after in pairwise(late)} == {LATER}


def test_once_google_says_that_it_is_too_often_it_is_asked_less(monkeypatch: pytest.MonkeyPatch) -> None:
    booting = Booting(monkeypatch, 40.0, limit=5)
    assert booting.wait() == (f"{KIND} {BLOB}",)
    pauses = [after - before for before, after in pairwise(booting.looks)]
    assert pauses == [PAUSE] * 5 + [LATER] * (len(pauses) - 5)


def test_a_machine_that_never_tells_them_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    booting = Booting(monkeypatch, 10_000.0)
    with pytest.raises(CloudError, match="told no SSH host key of the kind ssh-ed25519 within 5") as none:
        booting.wait()
    assert "a kernel that hangs" in none.value.details
    assert host_keys.LIMIT < booting.clock <= host_keys.LIMIT + LATER


@pytest.mark.parametrize("others", [OTHERS[:1], OTHERS[1:], OTHERS])
def test_the_key_that_sshd_will_offer_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, others: tuple[str, ...]
) -> None:
    """Google's agent tells them one by one. Pinned by another alone, the machine would be a stranger's as soon as the
    playbook has configured its sshd.
    """
    offered = yaml.safe_load((REPO / "roles/ssh_server/defaults/main.yml").read_text(encoding="utf-8"))
    assert [f"ssh-{one}" for one in offered["ssh_server_host_keys"]] == [KIND] == [host_keys.OFFERED]
    booting = Booting(monkeypatch, 5.0)
    booting.before = told(*others)
    assert booting.wait() == (f"{KIND} {BLOB}",)
    booting = Booting(monkeypatch, 10_000.0)
    booting.before = told(*others)
    with pytest.raises(CloudError, match="told no SSH host key of the kind ssh-ed25519 within 5"):
        booting.wait()
