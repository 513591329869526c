"""The tunnel's far end, spoken to by a client of the test's own: it shares nothing with the product's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from google.auth.transport.requests import Request

from tests.google import firewall
from tests.google.client import Google
from tests.google.conftest import PROJECT, ZONE, Cloud
from tests.google.frames import (
    ACK,
    CONNECT_SUCCESS_SID,
    DATA,
    ORIGIN,
    RECONNECT_SUCCESS_ACK,
    SUBPROTOCOL,
    Frame,
    Malformed,
    decode,
    encode,
)  # fmt: skip

TARGET = {"project": PROJECT, "zone": ZONE, "instance": "vm", "interface": "nic0", "port": "22"}


def token(cloud: Cloud) -> str:
    if not cloud.credentials.valid:
        cloud.credentials.refresh(Request())
    return str(cloud.credentials.token)


@contextlib.asynccontextmanager
async def tunnel(
    google: Google, bearer: str, path: str = "connect", **query: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {bearer}", "Origin": ORIGIN}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"{google.tunnel_url}/v4/{path}",
            params=query or TARGET,
            headers=headers,
            protocols=(SUBPROTOCOL,),
        ) as socket,
    ):
        yield socket


async def receive(socket: aiohttp.ClientWebSocketResponse) -> Frame:
    return decode(await asyncio.wait_for(socket.receive_bytes(), 5))


async def close_code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    message = await asyncio.wait_for(socket.receive(), 5)
    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
    return socket.close_code


def with_backend(
    google: Google,
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]],
    test: Awaitable[Any],
    **rules: int,
) -> None:
    """Runs a test while something listens where the instance's port 22 would be."""

    async def run() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        await asyncio.to_thread(google.relay, **rules, backends={"vm": f"127.0.0.1:{port}"})
        await test
        server.close()

    asyncio.run(run())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@pytest.fixture
def reachable(google: Google, cloud: Cloud) -> Cloud:
    cloud.make_instance()
    cloud.admit_tunnel()
    return cloud


def test_bytes_go_both_ways(google: Google, reachable: Cloud) -> None:
    async def talk() -> None:
        async with tunnel(google, token(reachable)) as socket:
            first = await receive(socket)
            assert first.tag == CONNECT_SUCCESS_SID
            assert len(first.data) > 20
            await socket.send_bytes(encode(Frame(DATA, b"hello")))
            assert await receive(socket) == Frame(DATA, b"hello")

    with_backend(google, echo, talk())


def test_what_it_receives_is_acknowledged(google: Google, reachable: Cloud) -> None:
    async def talk() -> None:
        async with tunnel(google, token(reachable)) as socket:
            await receive(socket)
            for _ in range(3):
                await socket.send_bytes(encode(Frame(DATA, b"x" * 16384)))
            frames = [await receive(socket) for _ in range(4)]
            assert Frame(ACK, number=3 * 16384) in frames

    with_backend(google, echo, talk())


def test_a_lost_session_is_taken_up_where_it_was(google: Google, reachable: Cloud) -> None:
    async def talk() -> None:
        bearer = token(reachable)
        async with tunnel(google, bearer) as socket:
            sid = (await receive(socket)).data.decode()
            await socket.send_bytes(encode(Frame(DATA, b"hello")))
            await asyncio.wait_for(socket.receive(), 5)  # cut
        async with tunnel(google, bearer, "reconnect", sid=sid, ack="0", zone=ZONE) as socket:
            assert await receive(socket) == Frame(RECONNECT_SUCCESS_ACK, number=5)
            assert (await receive(socket)).data == b"hello"
            await socket.send_bytes(encode(Frame(ACK, number=5)))
            await socket.send_bytes(encode(Frame(DATA, b"again")))
            assert (await receive(socket)).data == b"again"

    with_backend(google, echo, talk(), drop_after=5)


def test_a_session_is_taken_over_from_a_websocket_that_only_seems_to_be_there(
    google: Google, reachable: Cloud
) -> None:
    async def talk() -> None:
        bearer = token(reachable)
        async with tunnel(google, bearer) as first:
            sid = (await receive(first)).data.decode()
            async with tunnel(google, bearer, "reconnect", sid=sid, ack="0", zone=ZONE) as second:
                await receive(second)
                await second.send_bytes(encode(Frame(DATA, b"hello")))
                assert (await receive(second)).data == b"hello"

    with_backend(google, echo, talk())


def test_an_acknowledgement_of_what_was_never_sent_ends_the_session(google: Google, reachable: Cloud) -> None:
    google.tolerates_violations = True

    async def talk() -> None:
        async with tunnel(google, token(reachable)) as socket:
            await receive(socket)
            await socket.send_bytes(encode(Frame(ACK, number=1)))
            assert await close_code(socket) == 4005

    with_backend(google, echo, talk())


def test_a_websocket_is_closed_with_the_ordered_code(google: Google, reachable: Cloud) -> None:
    async def talk() -> None:
        async with tunnel(google, token(reachable)) as socket:
            await receive(socket)
            await socket.send_bytes(encode(Frame(DATA, b"hello")))
            assert await close_code(socket) == 4004

    with_backend(google, echo, talk(), drop_after=1, code=4004)


def test_a_session_of_nobody_is_not_taken_up(google: Google, reachable: Cloud) -> None:
    async def talk() -> None:
        async with tunnel(google, token(reachable), "reconnect", sid="made-up", ack="0", zone=ZONE) as socket:
            assert await close_code(socket) == 4001

    with_backend(google, echo, talk())


def test_the_end_of_the_machines_side_ends_the_tunnel(google: Google, reachable: Cloud) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    async def talk() -> None:
        async with tunnel(google, token(reachable)) as socket:
            await receive(socket)
            assert (await receive(socket)).data == b"bye"
            assert await close_code(socket) == 1000

    with_backend(google, hang_up, talk())


def refused(google: Google, cloud: Cloud, **query: str) -> int | None:
    async def talk() -> int | None:
        async with tunnel(google, token(cloud), **(TARGET | query)) as socket:
            return await close_code(socket)

    return asyncio.run(talk())


def test_without_a_firewall_rule_nothing_is_reached(google: Google, cloud: Cloud) -> None:
    cloud.make_instance()
    assert refused(google, cloud) == 4003


def test_a_rule_for_another_account_admits_nobody(google: Google, cloud: Cloud) -> None:
    cloud.make_instance()
    cloud.admit_tunnel(target_service_accounts=["other@hangar-test.iam.gserviceaccount.com"])
    google.relay(backends={"vm": "127.0.0.1:1"})
    assert refused(google, cloud) == 4003


def test_a_rule_that_denies_more_urgently_wins_and_a_less_urgent_one_does_not(
    google: Google, cloud: Cloud
) -> None:
    google.relay(backends={"vm": "127.0.0.1:1"})
    cloud.make_instance()
    cloud.admit_tunnel(priority=1000)
    instance = google.resources()[f"projects/{PROJECT}/zones/{ZONE}/instances/vm"]
    rules = {"tunnel": google.resources("firewalls")["tunnel"]}
    deny = {**rules["tunnel"], "denied": [{"IPProtocol": "all"}], "sourceRanges": ["0.0.0.0/0"]}
    del deny["allowed"]
    assert firewall.decision(list(rules.values()), instance, 22) is True
    for priority, open_ in ((999, False), (1000, False), (65534, True)):
        assert firewall.decision([rules["tunnel"], {**deny, "priority": priority}], instance, 22) is open_
    assert firewall.decision(list(rules.values()), instance, 443) is False
    assert firewall.decision([{**rules["tunnel"], "disabled": True}], instance, 22) is False


def test_a_machine_that_does_not_listen_is_not_reached(google: Google, reachable: Cloud) -> None:
    google.relay(backends={"vm": "127.0.0.1:1"})
    assert refused(google, reachable) == 4003


def test_an_instance_that_is_not_there_or_is_off_is_not_found(google: Google, reachable: Cloud) -> None:
    assert refused(google, reachable, instance="other") == 4047
    reachable.done(reachable.Instances.stop_unary(project=PROJECT, zone=ZONE, instance="vm"))
    assert refused(google, reachable) == 4047


def test_without_the_permission_the_tunnel_is_closed(google: Google, reachable: Cloud) -> None:
    google.deny("iap.tunnelInstances.accessViaIAP")
    assert refused(google, reachable) == 4033


def test_a_bad_bearer_gets_no_websocket(google: Google, reachable: Cloud) -> None:
    async def talk() -> None:
        async with tunnel(google, "made-up"):
            pass

    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        asyncio.run(talk())
    assert caught.value.status == 401


def test_a_frame_that_is_none_ends_the_session_and_is_noted(google: Google, reachable: Cloud) -> None:
    google.tolerates_violations = True

    async def talk() -> None:
        async with tunnel(google, token(reachable)) as socket:
            await receive(socket)
            await socket.send_bytes(b"\x00\x00\x00\x04\x00\x00\x00\x01x")  # a tag of four bytes, with a tag 0
            await socket.send_bytes(b"\x00\x04\x00\x00\x00\x09x")
            assert await close_code(socket) == 4013

    with_backend(google, echo, talk())
    assert google.violations()[0]["message"] == "The client sent a frame that says 9 bytes and carries 1."


@pytest.mark.parametrize(
    "frame",
    [Frame(DATA, b"x"), Frame(CONNECT_SUCCESS_SID, b"sid"), Frame(ACK, number=2**40), Frame(2, number=1)],
)
def test_frames_are_read_as_they_were_written(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@pytest.mark.parametrize(
    "message", [b"", b"\x00", b"\x00\x04\x00", b"\x00\x07\x00", b"\x00\x04\x00\x00\x00\x02x"]
)
def test_half_frames_are_refused(message: bytes) -> None:
    with pytest.raises(Malformed):
        decode(message)


def test_an_unknown_tag_is_no_error() -> None:
    assert decode(b"\x00\x0a\x01") == Frame(10)
