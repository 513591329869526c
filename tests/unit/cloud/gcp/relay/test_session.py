from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import pytest

from hangar.cloud.gcp.relay import carrier, ends, session
from hangar.errors import HangarError
from tests.backends import backend, echo
from tests.far_end import FarEnd, Faults
from tests.unit.cloud.gcp.relay.conftest import Tunnel

Make = Callable[..., Tunnel]
BULK = os.urandom(3_000_000)


def test_bytes_go_both_ways_and_the_end_is_orderly(tunnel: Make) -> None:
    with echo() as port, FarEnd(port) as far:
        one = tunnel(far.endpoint)
        assert one.exchange(b"hello") == b"hello"
        one.close()
        assert one.wait() is None
        assert one.read_to_end() == b""
    ((path, query, headers),) = far.requests
    assert path == "/v4/connect"
    assert query == {
        "project": "p", "zone": "z", "instance": "vm", "interface": "nic0", "port": "22", "newWebsocket": "True",
    }  # fmt: skip
    assert headers["Authorization"] == "Bearer token"
    assert headers["Origin"] == "bot:iap-tunneler"
    assert "permessage-deflate" not in str(headers), "what SSH has encrypted cannot be made smaller"


def test_what_was_given_before_the_end_is_still_sent(tunnel: Make) -> None:
    arrived = bytearray()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(65536):
            arrived.extend(content)
        writer.close()

    with backend(collect) as port, FarEnd(port) as far:
        one = tunnel(far.endpoint)
        one.send(BULK)
        one.close()
        assert one.wait() is None
        deadline = time.monotonic() + 5
        while len(arrived) < len(BULK) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert bytes(arrived) == BULK


def test_a_machine_that_closes_after_much_loses_nothing_even_if_we_read_slowly(tunnel: Make) -> None:
    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BULK)
        await writer.drain()
        writer.close()

    with backend(give) as port, FarEnd(port) as far:
        one = tunnel(far.endpoint)
        first = one.read(10)
        time.sleep(0.3)  # the far end has long closed; what it sent waits with us
        assert first + one.read_to_end() == BULK
        error = one.wait()
    assert error is not None
    assert error.brief == "vm closed the connection."


@pytest.mark.parametrize(
    "faults",
    [
        Faults(drop_after=200_000),
        Faults(old_acks=True),
        Faults(junk=True),
        Faults(merge=True),
        Faults(drop_after=150_000, old_acks=True, junk=True, merge=True),
    ],
    ids=lambda faults: " ".join(name for name, value in vars(faults).items() if value),
)
def test_no_byte_is_lost_or_doubled(tunnel: Make, faults: Faults) -> None:
    with echo() as port, FarEnd(port, faults) as far:
        one = tunnel(far.endpoint)
        assert one.exchange(BULK) == BULK
        one.close()
        assert one.wait() is None
    assert len(far.sessions) == 1
    reconnects = [query for path, query, _ in far.requests if path == "/v4/reconnect"]
    if faults.drop_after:
        assert len(reconnects) > 10
        assert {query["zone"] for query in reconnects} == {"z"}
    else:
        assert not reconnects


def test_many_lost_lines_at_odd_times(tunnel: Make) -> None:
    with echo() as port, FarEnd(port) as far:
        one = tunnel(far.endpoint)
        for round in range(20):
            assert one.exchange(BULK[: 1 + round * 9_999]) == BULK[: 1 + round * 9_999]
            far.drop_all()
        assert one.exchange(b"still here") == b"still here"


def test_a_lost_line_is_taken_up_while_nothing_is_said(tunnel: Make) -> None:
    with echo() as port, FarEnd(port) as far:
        one = tunnel(far.endpoint)
        assert one.exchange(b"a") == b"a"
        far.drop_all()
        deadline = time.monotonic() + 10
        while len(far.requests) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert far.requests[1][1]["ack"] == "1"
        assert one.exchange(b"b") == b"b"


def test_acknowledgements_are_given_at_once_for_much_and_late_for_little(
    tunnel: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier, "LATE_ACK", 0.05)
    with echo() as port, FarEnd(port) as far:
        one = tunnel(far.endpoint)
        one.exchange(b"little")
        deadline = time.monotonic() + 5
        while not far.relay_acks and time.monotonic() < deadline:
            time.sleep(0.01)
        assert far.relay_acks == [6]
        one.exchange(BULK)
        steps = [after - before for before, after in zip(far.relay_acks, far.relay_acks[1:], strict=False)]
        assert all(0 < step < 2_000_000 for step in steps)
        assert len(steps) > 5


def test_a_slow_machine_holds_us_back_instead_of_filling_memory(
    tunnel: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "FLUSH_PATIENCE", 0.5)

    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(30)

    with backend(never_read) as port, FarEnd(port) as far:
        one = tunnel(far.endpoint)
        os.set_blocking(one.input, False)
        taken, quiet_since = 0, time.monotonic()
        while time.monotonic() - quiet_since < 0.7:
            try:
                taken += os.write(one.input, BULK[:65536])
                quiet_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        assert taken < 40_000_000, "what the network and 4 MiB of ours hold"
        one.close()
        assert one.wait() is None, "and it does not keep us for ever"


FATAL = {
    4003: "IAP cannot reach port 22 of vm. Is the machine running and has it booted? A firewall rule has to admit"
    " 35.235.240.0/20 to port 22, and sshd has to listen there.",
    4010: "vm closed the connection. If this happens before the login: sshd refuses more logins for a moment, or the"
    " machine is going down.",
    4033: "Your account may not open a tunnel to vm. It needs the permission iap.tunnelInstances.accessViaIAP; the role"
    " roles/iap.tunnelResourceAccessor has it: gcloud projects add-iam-policy-binding p --condition None --member"
    " user:YOU@EXAMPLE.ORG --role roles/iap.tunnelResourceAccessor",
    4047: "Google knows no running instance vm in zone z of project p. Compare the names, and start it if it is"
    " stopped.",
    4008: "IAP and Hangar's relay do not understand each other. Use gcloud for the tunnel (install the Google Cloud"
    " CLI), and report this.",
    1008: "The tunnel was closed. Connect again.",
}  # fmt: skip


@pytest.mark.parametrize("code", FATAL)
def test_a_close_code_says_what_to_do(tunnel: Make, code: int) -> None:
    with echo() as port, FarEnd(port, Faults(close_at_connect=[(code, "because")])) as far:
        error = tunnel(far.endpoint).wait()
    assert error is not None
    assert f"{error.brief} {error.resolution}" == FATAL[code]
    assert error.details == f"(code {code}: because)"
    assert len(far.requests) == 1, "it is not tried again"


def test_a_token_that_is_refused_is_fetched_anew_once(tunnel: Make) -> None:
    asked: list[bool] = []

    def token(fresh: bool) -> str:
        asked.append(fresh)
        return f"token-{len(asked)}"

    refused = [(4004, "reauthentication required")]
    with echo() as port, FarEnd(port, Faults(close_at_connect=refused * 1)) as far:
        one = tunnel(far.endpoint, token)
        assert one.exchange(b"in") == b"in"
    assert asked[:2] == [False, True]
    assert far.requests[1][2]["Authorization"] == "Bearer token-2"
    with echo() as port, FarEnd(port, Faults(close_at_connect=refused * 3)) as far:
        error = tunnel(far.endpoint, token).wait()
    assert error is not None
    assert error.resolution == "Log in again: gcloud auth application-default login"
    assert len(far.requests) == 2


@pytest.mark.parametrize("code", [1006, 1001, 1011, 4000])
def test_what_passes_is_tried_again_at_the_start(tunnel: Make, code: int) -> None:
    with echo() as port, FarEnd(port, Faults(close_at_connect=[(code, "")] * 2)) as far:
        assert tunnel(far.endpoint).exchange(b"in") == b"in"
    assert [path for path, *_ in far.requests] == ["/v4/connect"] * 3


def test_a_line_that_is_always_cut_is_said_to_be(tunnel: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "BEGIN_PATIENCE", 0.5)
    with echo() as port, FarEnd(port, Faults(close_at_connect=[(1006, "")] * 99)) as far:
        error = tunnel(far.endpoint).wait()
    assert error is not None
    assert error.brief == "The connection to IAP was cut."


def test_what_could_not_be_sent_is_no_success(tunnel: Make) -> None:
    with echo() as port, FarEnd(port, Faults(close_at_connect=[(1006, "")] * 99)) as far:
        one = tunnel(far.endpoint)
        one.send(b"never arrives")
        one.close()
        assert one.wait() is not None


def test_a_far_end_that_never_says_that_it_is_open_is_given_up(
    tunnel: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "BEGIN_PATIENCE", 0.2)
    monkeypatch.setattr(carrier, "OPEN_PATIENCE", 0.2)
    with echo() as port, FarEnd(port, Faults(mute=True)) as far:
        error = tunnel(far.endpoint).wait()
    assert error is not None
    assert error.brief == "The connection to IAP was cut."


def test_a_session_that_is_still_held_is_tried_again(tunnel: Make) -> None:
    faults = Faults(refuse_reconnects=[(4002, "in use"), (1006, ""), (4002, "in use")])
    with echo() as port, FarEnd(port, faults) as far:
        one = tunnel(far.endpoint)
        one.exchange(b"a")
        far.drop_all()
        assert one.exchange(b"b") == b"b"
    assert [path for path, *_ in far.requests] == ["/v4/connect"] + ["/v4/reconnect"] * 4


@pytest.mark.parametrize("code", [4001, 4074])
def test_a_session_that_is_gone_is_said_to_be_lost(tunnel: Make, code: int) -> None:
    with echo() as port, FarEnd(port, Faults(refuse_reconnects=[(code, "gone")])) as far:
        one = tunnel(far.endpoint)
        one.exchange(b"a")
        far.drop_all()
        error = one.wait()
    assert error == HangarError(
        "The tunnel was interrupted and could not be taken up again.",
        f"(code {code}: gone)",
        "Connect again.",
    )


def test_a_session_is_not_tried_for_ever(tunnel: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RESUME_PATIENCE", 1.0)
    with echo() as port, FarEnd(port) as far:
        one = tunnel(far.endpoint)
        one.exchange(b"a")
    error = one.wait()  # the far end is gone
    assert error is not None
    assert error.brief == f"{far.endpoint} cannot be reached."


def test_nobody_waits_for_a_tunnel_that_ssh_has_left(tunnel: Make) -> None:
    with echo() as port, FarEnd(port, Faults(refuse_reconnects=[(1006, "")] * 99)) as far:
        one = tunnel(far.endpoint)
        one.exchange(b"a")
        far.drop_all()
        start = time.monotonic()
        one.close()
        assert one.wait() is None
        assert time.monotonic() - start < 3


def test_a_lie_about_what_arrived_ends_the_tunnel(tunnel: Make) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(40_000)
        await reader.read()

    with backend(swallow) as port, FarEnd(port, Faults(lie_in_ack=True)) as far:
        one = tunnel(far.endpoint)
        one.send(b"x" * 40_000)
        error = one.wait()
    assert error is not None
    assert error.brief == "IAP and Hangar's relay do not understand each other."
    assert error.details == "(code 4008: 40007 bytes are acknowledged, 40000 were sent)"


@pytest.mark.parametrize(
    ("status", "brief"),
    [
        (403, "Your account may not open a tunnel to vm."),
        (401, "Your account may not open a tunnel to vm."),
        (404, "{endpoint} does not open a tunnel."),
    ],
)
def test_a_web_server_that_refuses_is_believed(tunnel: Make, status: int, brief: str) -> None:
    with echo() as port, FarEnd(port, Faults(status=status)) as far:
        error = tunnel(far.endpoint).wait()
    assert error is not None
    assert error.brief == brief.format(endpoint=far.endpoint)
    assert len(far.requests) == 1


def test_a_redirection_is_not_followed(tunnel: Make) -> None:
    """Whoever stands there must not get to see the token."""
    with echo() as port, FarEnd(port) as elsewhere, FarEnd(port, Faults(redirect=elsewhere.endpoint)) as far:
        error = tunnel(far.endpoint).wait()
        assert elsewhere.requests == []
    assert error is not None
    assert (error.brief, error.details) == (f"{far.endpoint} does not open a tunnel.", "(HTTP 302)")


def test_a_silent_network_is_noticed(tunnel: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The far end answered pings and then falls silent: the line is lost although nobody says so."""
    monkeypatch.setattr(carrier, "KEEP_ALIVE", 0.1)
    with echo() as port, FarEnd(port) as far:
        one = tunnel(far.endpoint)
        one.exchange(b"a")
        time.sleep(0.35)
        assert len(far.requests) == 1, "a line on which pings are answered stays"
        far.fall_silent()
        deadline = time.monotonic() + 5
        while len(far.requests) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert one.exchange(b"b") == b"b"
    assert [path for path, *_ in far.requests][1] == "/v4/reconnect"


def test_a_far_end_that_never_answers_pings_is_left_alone(
    tunnel: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrier, "KEEP_ALIVE", 0.05)
    with echo() as port, FarEnd(port, Faults(deaf=True)) as far:
        one = tunnel(far.endpoint)
        one.exchange(b"a")
        time.sleep(0.4)
        assert one.exchange(b"b") == b"b"
        assert len(far.requests) == 1
