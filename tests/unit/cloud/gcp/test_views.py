from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from hangar.cloud.gcp import host_keys, requests, views
from hangar.cloud.gcp.machine import next_metadata
from hangar.cloud.gcp.requests import Wanted

Make = Callable[..., Wanted]


def key(kind: str, inner: str = "") -> str:
    name = (inner or kind).encode()
    return f"{kind} {base64.b64encode(len(name).to_bytes(4, 'big') + name + b'xyz').decode()}"


def test_what_was_wanted_is_remembered_in_short() -> None:
    packed = views.pack({"machine x": {"type": "e2", "start-up script": "#!/bin/sh\nexit"}})
    found = views.unpack(packed)
    assert found["machine x"]["type"] == "e2"
    assert found["machine x"]["start-up script"].startswith("#")
    assert "exit" not in packed


@pytest.mark.parametrize("text", ["", "{", "[]", '{"machine": 3}'])
def test_a_damaged_memory_is_none(text: str) -> None:
    assert views.unpack(text) == {}


def test_metadata_that_is_not_ours_stays_and_ways_in_go(wanted: Make) -> None:
    there = {
        "team-note": "x",
        "ssh-keys": "eve:ssh-rsa AAAA",
        "hangar-host-keys": "{}",
        "enable-guest-attributes": "FALSE",
    }
    after = next_metadata(wanted(), there, closed=False)
    assert after["team-note"] == "x"
    assert "ssh-keys" not in after
    assert (after["hangar-host-keys"], after["enable-guest-attributes"]) == ("{}", "FALSE")


@pytest.mark.parametrize("value", ["TRUE", "true", "Yes", "y", "1", " t "])
def test_a_switch_in_metadata_is_on_by_any_of_googles_words(value: str) -> None:
    assert views.is_on(value)


@pytest.mark.parametrize("value", ["FALSE", "No", "n", "0", "", None, "TRUE!"])
def test_and_off_by_any_other(value: str | None) -> None:
    assert not views.is_on(value)


def test_a_customers_key_is_known_without_its_version() -> None:
    name = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
    assert views.key_of({"diskEncryptionKey": {"kmsKeyName": f"{name}/cryptoKeyVersions/7"}}) == name
    assert views.key_of({}) == "Google's"


def test_an_external_address_is_seen(wanted: Make) -> None:
    body = requests.instance(wanted(), "image", "")
    assert views.instance(body)["external address"] == "no"
    body["networkInterfaces"][0]["accessConfigs"] = [{"name": "External NAT"}]
    assert views.instance(body)["external address"] == "yes"


def test_an_external_address_of_ipv6_or_of_another_interface_is_seen(wanted: Make) -> None:
    body = requests.instance(wanted(), "image", "")
    (link,) = body["networkInterfaces"]
    body["networkInterfaces"] = [
        {**link, "stackType": "IPV4_IPV6", "ipv6AccessConfigs": [{"name": "external-ipv6"}]}
    ]
    view = views.instance(body)
    assert (view["external address"], view["IP versions"]) == ("yes", "IPV4_IPV6")
    body["networkInterfaces"] = [link, {**link, "accessConfigs": [{"name": "External NAT"}]}]
    assert views.instance(body)["external address"] == "yes"


def test_what_becomes_of_each_disk_is_seen_and_a_local_ssd_is_none(wanted: Make) -> None:
    body = requests.instance(wanted(), "image", "")
    local = {
        "type": "SCRATCH",
        "mode": "READ_WRITE",
        "boot": False,
        "autoDelete": True,
        "deviceName": "local-ssd-0",
    }
    body["disks"].append(local)
    names = (
        "data disk",
        "data disk mode",
        "data disk goes with the machine",
        "boot disk goes with the machine",
    )
    assert [views.instance(body)[name] for name in names] == [
        "hangar-production-data",
        "READ_WRITE",
        "no",
        "yes",
    ]
    boot, data, _ = body["disks"]
    body["disks"] = [{**boot, "autoDelete": False}, {**data, "autoDelete": True, "mode": "READ_ONLY"}]
    assert [views.instance(body)[name] for name in names] == [
        "hangar-production-data",
        "READ_ONLY",
        "yes",
        "no",
    ]
    body["disks"] = [boot]  # none is attached: attaching it is no change of its mode
    assert [views.instance(body)[name] for name in names] == ["none", "READ_WRITE", "no", "yes"]


@pytest.mark.parametrize("key", ["ssh-keys", "startup-script-url", "shutdown-script", "shutdown-script-url"])
def test_a_way_in_by_metadata_is_seen_and_taken_away(wanted: Make, key: str) -> None:
    body = requests.instance(wanted(), "image", "")
    assert views.instance(body)[f"metadata {key}"] == "none"
    body["metadata"]["items"].append({"key": key, "value": "theirs"})
    assert views.instance(body)[f"metadata {key}"] == "theirs"
    assert key not in next_metadata(wanted(), views.metadata(body), closed=False)


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519 AAAA\nssh-rsa BBBB",
        "ssh-ed25519",
        "ssh-dss AAAA",
        key("ssh-ed25519", "ssh-rsa"),
        "ssh-ed25519 !!",
    ],
)
def test_only_a_host_key_is_pinned(line: str) -> None:
    """The machine writes these values; anything else in known_hosts would be a way in."""
    assert not host_keys.is_key(line)


def test_a_host_key_is_one() -> None:
    assert all(host_keys.is_key(key(kind)) for kind in host_keys.KINDS)


def test_the_keys_of_another_machine_of_the_name_do_not_count() -> None:
    def instance(owner: str) -> dict[str, Any]:
        value = json.dumps({"instance": owner, "keys": [key("ssh-ed25519")]})
        return {"id": "7", "metadata": {"items": [{"key": "hangar-host-keys", "value": value}]}}

    assert host_keys.recorded(instance("7")) == (key("ssh-ed25519"),)
    assert host_keys.recorded(instance("6")) == ()
    assert host_keys.recorded({"id": "7"}) == ()
