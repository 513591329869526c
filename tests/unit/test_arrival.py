from __future__ import annotations

from dataclasses import replace

import pytest

from hangar import arrival, process
from hangar.errors import CommandFailed, HangarError, MachineUnreachable
from hangar.ssh import known_hosts
from tests.unit.fakes import SERVER, FakeCloud

BEHIND_A_TUNNEL = replace(SERVER, cloud="gcp", proxy_command=("relay", "--stdio"))


class Logins:
    """What one login after the other ends with; the last repeats."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *codes: int | None) -> None:
        self.codes = list(codes)
        self.refusal = "Permission denied (publickey)."
        self.said = ""
        self.argv: list[str] = []
        self.count = 0
        self.clock = 0.0
        monkeypatch.setattr(process, "bounded", self.run)
        monkeypatch.setattr(arrival.time, "monotonic", lambda: self.clock)
        monkeypatch.setattr(arrival.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def run(self, argv: list[str], **_: object) -> process.Completed:
        self.count += 1
        self.argv = argv
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        if code is None:
            raise CommandFailed("ssh did not finish within 60 s.")
        return process.Completed(tuple(argv), code, "", self.refusal if code == 255 else self.said)


def test_a_machine_of_this_computer_needs_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    logins = Logins(monkeypatch, 255)
    arrival.wait(SERVER, FakeCloud(), print)
    assert logins.count == 0


def test_it_is_tried_until_the_script_is_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, hanging, admitted but not through, through."""
    logins = Logins(monkeypatch, 255, None, 1, 0)
    arrival.wait(BEHIND_A_TUNNEL, FakeCloud(), lambda _: None)
    assert logins.count == 4
    assert logins.argv[-2:] == ["hangar-local", arrival.READY]
    assert "BatchMode=yes" in logins.argv


@pytest.mark.parametrize(
    ("codes", "refusal", "pauses"),
    [
        ((255, 255, 0), "kex_exchange_identification: Connection closed by remote host", [1.0, 1.0]),
        ((1, 1, 0), "", [1.0, 1.0]),
        ((255, 255, 0), "hangar@hangar-local: Permission denied (publickey).", [3.0, 3.0]),
    ],
)
def test_the_last_wait_is_short_but_where_sshd_counts(
    monkeypatch: pytest.MonkeyPatch, codes: tuple[int, ...], refusal: str, pauses: list[float]
) -> None:
    """sshd shuts an address out that shows wrong keys again and again (PerSourcePenalties)"""
    logins = Logins(monkeypatch, *codes)
    logins.refusal = refusal
    slept: list[float] = []
    monkeypatch.setattr(arrival.time, "sleep", lambda seconds: (slept.append(seconds), logins.sleep(seconds)))
    arrival.wait(BEHIND_A_TUNNEL, FakeCloud(), lambda _: None)
    assert slept == pauses


def test_a_machine_that_does_not_come_is_asked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    logins = Logins(monkeypatch, 255)
    logins.refusal = "Connection refused"
    with pytest.raises(MachineUnreachable):
        arrival.wait(BEHIND_A_TUNNEL, FakeCloud(), lambda _: None)
    most = arrival.QUICK_FOR / arrival.QUICK + arrival.LIMIT / arrival.PAUSE
    assert logins.count <= most


def test_a_machine_that_was_there_before_and_refuses_the_key_is_not_waited_for_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logins = Logins(monkeypatch, 255)
    with pytest.raises(MachineUnreachable) as refused:
        arrival.wait(BEHIND_A_TUNNEL, FakeCloud(), lambda _: None, is_new=False)
    assert refused.value.brief == "hangar-local does not admit your key."
    assert logins.clock < 2 * arrival.REFUSED < arrival.LIMIT
    assert "./provision.py people add NAME local --role admin --key FILE" in refused.value.resolution


ANOTHER_KEY = """@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
The fingerprint for the ED25519 key sent by the remote host is
SHA256:stranger.
Host key verification failed.
"""


@pytest.mark.parametrize(("is_new", "patience"), [(False, 0.0), (True, arrival.REFUSED + arrival.PAUSE)])
def test_what_shows_another_host_key_is_not_talked_to(
    monkeypatch: pytest.MonkeyPatch, is_new: bool, patience: float
) -> None:
    """A new machine's sshd may run for a moment before its agent has made the keys."""
    logins = Logins(monkeypatch, 255)
    logins.refusal = ANOTHER_KEY
    with pytest.raises(MachineUnreachable) as another:
        arrival.wait(BEHIND_A_TUNNEL, FakeCloud(), lambda _: None, is_new=is_new)
    assert logins.clock == patience
    assert another.value.brief == (
        "What answers as hangar-local does not show the SSH host key that it was made with; nothing was sent to it."
    )
    pinned = known_hosts.fingerprint(SERVER.host_keys[0])
    assert another.value.details == f"* It shows: ED25519 SHA256:stranger\n* Pinned: ssh-ed25519 {pinned}"
    assert "./provision.py destroy local, then ./provision.py up local" in another.value.resolution


def test_the_script_has_a_limit_of_its_own_from_the_first_login_on(monkeypatch: pytest.MonkeyPatch) -> None:
    late = int(arrival.LIMIT / arrival.PAUSE) - 5
    through = int(arrival.SCRIPT_LIMIT / arrival.PAUSE) - 5
    logins = Logins(monkeypatch, *[255] * late, *[1] * through, 0)
    arrival.wait(BEHIND_A_TUNNEL, FakeCloud(), lambda _: None)
    assert logins.clock > arrival.LIMIT


def test_a_file_system_that_does_not_grow_is_told_at_once_and_not_taken_for_a_slow_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logins = Logins(monkeypatch, 255, arrival.NOT_GROWN)
    logins.said = "resize2fs 1.47.2 (1-Jan-2025)\nPlease run 'e2fsck -f /dev/sdb' first.\n\n"
    with pytest.raises(HangarError) as failed:
        arrival.wait(BEHIND_A_TUNNEL, FakeCloud(), lambda _: None)
    assert logins.count == 2
    assert failed.value == HangarError(
        "The file system under /srv of hangar-local did not grow with its disk; what is in it is as it was.",
        "* The machine said:\n  resize2fs 1.47.2 (1-Jan-2025)\n  Please run 'e2fsck -f /dev/sdb' first.",
        "Look at it on the machine (./provision.py ssh local): sudo /usr/local/sbin/hangar-grow"
        "\nThen run the same command again.",
    )


@pytest.mark.parametrize(
    ("code", "brief"),
    [
        (255, "hangar-local admits nobody, 10 minutes after its start."),
        (1, "The start-up script of hangar-local is not through 5 minutes after the first login."),
    ],
)
def test_a_machine_that_never_answers_shows_its_console(
    monkeypatch: pytest.MonkeyPatch, code: int, brief: str
) -> None:
    Logins(monkeypatch, code)
    cloud = FakeCloud()
    monkeypatch.setattr(cloud, "console", lambda: "Kernel panic")
    with pytest.raises(MachineUnreachable) as never:
        arrival.wait(BEHIND_A_TUNNEL, cloud, lambda _: None)
    assert never.value.brief == brief
    assert never.value.details.endswith("* The end of the machine's console:\nKernel panic")
