from __future__ import annotations

from dataclasses import replace

import pytest

from hangar import arrival, process
from hangar.errors import CommandFailed, MachineUnreachable
from tests.unit.fakes import SERVER, FakeCloud

BEHIND_A_TUNNEL = replace(SERVER, cloud="gcp", proxy_command=("relay", "--stdio"))


class Logins:
    """What one login after the other ends with; the last repeats."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *codes: int | None) -> None:
        self.codes = list(codes)
        self.argv: list[str] = []
        self.count = 0
        self.clock = 0.0
        monkeypatch.setattr(process, "run", self.run)
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
        return process.Completed(
            tuple(argv), code, "", "Permission denied (publickey)." if code == 255 else ""
        )


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


def test_a_machine_that_was_there_before_and_refuses_the_key_is_not_waited_for_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logins = Logins(monkeypatch, 255)
    with pytest.raises(MachineUnreachable) as refused:
        arrival.wait(BEHIND_A_TUNNEL, FakeCloud(), lambda _: None, is_new=False)
    assert refused.value.brief == "hangar-local does not admit your key."
    assert logins.clock < 2 * arrival.REFUSED < arrival.LIMIT


@pytest.mark.parametrize(
    ("code", "brief"),
    [
        (255, "hangar-local admits nobody, 10 minutes after its start."),
        (1, "The start-up script of hangar-local is not through after 10 minutes."),
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
