"""One real machine: an instance that boots, runs its start-up script and answers SSH through the tunnel."""

import asyncio
import base64
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from google.api_core import exceptions
from google.cloud import compute_v1

from tests.google.client import Google
from tests.google.conftest import PROJECT, ZONE, Cloud, instance
from tests.google.frames import DATA, MOST_DATA, Frame, encode
from tests.google.test_relay import receive, token, tunnel

pytestmark = pytest.mark.machine

STARTUP = """#!/bin/sh
echo "the start-up script speaks"
findmnt --noheadings --output TARGET /srv
test -e /srv/kept || echo "made at the first boot" > /srv/kept
exit 3
"""
BOOT_LOOKS = 600


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    stand_in = Google(tmp_path_factory.mktemp("machines"), "--machines", "docker").start()
    yield stand_in
    stand_in.stop()


@pytest.fixture(scope="module")
def key() -> paramiko.PKey:
    return paramiko.ECDSAKey.generate()


@pytest.fixture(scope="module")
def machine(real: Google, key: paramiko.PKey) -> Cloud:
    cloud = Cloud(real)
    cloud.make_network()
    cloud.admit_tunnel()
    data = compute_v1.Disk(name="data", size_gb=20)
    cloud.done(cloud.Disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=data))
    metadata = {
        "enable-guest-attributes": "TRUE",
        "startup-script": STARTUP,
        "ssh-keys": f"ada:{key.get_name()} {key.get_base64()} ada",
    }
    kept = compute_v1.AttachedDisk(source=f"zones/{ZONE}/disks/data", device_name="data")
    described = instance(metadata=metadata)
    described.disks.append(kept)
    cloud.done(cloud.insert(described))
    return cloud


def host_keys(cloud: Cloud) -> dict[str, str]:
    request = compute_v1.GetGuestAttributesInstanceRequest(
        project=PROJECT, zone=ZONE, instance="vm", query_path="hostkeys/"
    )
    for _ in range(BOOT_LOOKS):
        try:
            found = cloud.Instances.get_guest_attributes(request)
        except exceptions.NotFound:
            threading.Event().wait(0.1)
        else:
            return {item.key: item.value for item in found.query_value.items}
    raise AssertionError(console(cloud))


def console(cloud: Cloud) -> str:
    return str(cloud.Instances.get_serial_port_output(project=PROJECT, zone=ZONE, instance="vm").contents)


def through_tunnel(cloud: Cloud) -> socket.socket:
    """A socket whose other end is carried through the websocket, by a thread with a loop of its own."""
    ours, theirs = socket.socketpair()
    bearer = token(cloud)

    async def carry() -> None:
        reader, writer = await asyncio.open_connection(sock=theirs)
        async with tunnel(cloud.google, bearer) as websocket:
            await receive(websocket)

            async def up() -> None:
                while data := await reader.read(MOST_DATA):
                    await websocket.send_bytes(encode(Frame(DATA, data)))
                await websocket.close()

            sending = asyncio.create_task(up())
            async for message in websocket:
                if message.data[1] == DATA:
                    writer.write(message.data[6:])
            sending.cancel()
            writer.close()

    threading.Thread(target=lambda: asyncio.run(carry()), daemon=True).start()
    return ours


def log_in(cloud: Cloud, key: paramiko.PKey) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    for kind, text in host_keys(cloud).items():
        client.get_host_keys().add("vm", kind, paramiko.PKey.from_type_string(kind, base64.b64decode(text)))
    client.connect(
        "vm", username="ada", pkey=key, sock=through_tunnel(cloud), look_for_keys=False, allow_agent=False
    )
    return client


def run(client: paramiko.SSHClient, command: str) -> str:
    return client.exec_command(command)[1].read().decode().strip()


def test_a_log_in_through_the_tunnel_reaches_the_machine(machine: Cloud, key: paramiko.PKey) -> None:
    client = log_in(machine, key)
    assert run(client, "hostname") == "vm"
    assert run(client, "sudo id -un") == "root"
    assert run(client, "echo $SSH_CONNECTION").startswith("35.235.24")
    client.close()


def test_the_console_shows_the_start_up_script_and_how_it_ended(machine: Cloud) -> None:
    for _ in range(BOOT_LOOKS):
        shown = console(machine)
        if "Finished running startup scripts." in shown:
            break
        threading.Event().wait(0.1)
    assert "startup-script: the start-up script speaks" in shown
    assert "startup-script: /srv" in shown
    assert "startup-script exit status 3" in shown


def test_what_lies_under_srv_outlives_the_instance_and_the_host_keys_do_not(
    machine: Cloud, key: paramiko.PKey
) -> None:
    before = host_keys(machine)
    snapshot = compute_v1.Snapshot(name="snap")
    machine.done(
        machine.Disks.create_snapshot_unary(
            project=PROJECT, zone=ZONE, disk="data", snapshot_resource=snapshot
        )
    )
    machine.done(machine.Instances.stop_unary(project=PROJECT, zone=ZONE, instance="vm"))
    machine.done(machine.Instances.start_unary(project=PROJECT, zone=ZONE, instance="vm"))
    assert host_keys(machine) == before
    machine.done(machine.Instances.delete_unary(project=PROJECT, zone=ZONE, instance="vm"))
    restored = compute_v1.Disk(name="restored", source_snapshot="global/snapshots/snap")
    machine.done(machine.Disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=restored))
    described = instance(
        metadata={
            "enable-guest-attributes": "TRUE",
            "ssh-keys": f"ada:{key.get_name()} {key.get_base64()} ada",
        }
    )
    described.disks.append(compute_v1.AttachedDisk(source=f"zones/{ZONE}/disks/restored"))
    machine.done(machine.insert(described))
    after = host_keys(machine)
    assert after.keys() == before.keys()
    assert after != before
    client = log_in(machine, key)
    assert run(client, "cat /srv/kept") == "made at the first boot"
    client.close()


def test_nothing_is_left_of_a_killed_stand_in(tmp_path: Path) -> None:
    stand_in = Google(tmp_path, "--machines", "docker").start()
    cloud = Cloud(stand_in)
    cloud.make_instance()
    assert len(docker_names(stand_in)) == 1
    stand_in.kill()
    assert len(docker_names(stand_in)) == 1
    stand_in.start()
    assert cloud.instance().status == "RUNNING"
    stand_in.kill()
    stand_in.stop()
    assert docker_names(stand_in) == []


def docker_names(stand_in: Google) -> list[str]:
    name: Any = json.loads((stand_in.folder / "state.json").read_text())["machines"]["name"]
    listed = subprocess.run(
        ["docker", "ps", "--all", "--format", "{{.Names}}", "--filter", f"label=hangar.google-stand-in={name}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return listed.stdout.split()
