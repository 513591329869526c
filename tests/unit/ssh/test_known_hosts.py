from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.ssh import known_hosts


def test_keys_are_pinned_under_the_machines_name(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    assert known_hosts.pin(server, file)
    assert file.read_text() == f"# The host keys of machine id-1\nhangar-local {server.host_keys[0]}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not known_hosts.pin(server, file), "a second time nothing changes"


def test_a_new_machine_replaces_the_keys(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    known_hosts.pin(server, file)
    assert known_hosts.pin(replace(server, id="id-2", host_keys=("ssh-ed25519 BBBB",)), file)
    assert "BBBB" in file.read_text()
    assert server.host_keys[0] not in file.read_text()


def test_other_keys_of_the_same_machine_are_refused(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    known_hosts.pin(server, file)
    before = file.read_text()
    with pytest.raises(HangarError) as caught:
        known_hosts.pin(replace(server, host_keys=("ssh-ed25519 BBBB",)), file)
    assert caught.value.brief == "The machine hangar-local has other SSH host keys than when it was made."
    assert str(file) in caught.value.resolution
    assert file.read_text() == before


def test_the_same_keys_in_another_order_are_the_same_keys(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    two = replace(server, host_keys=("ssh-ed25519 AAAA", "ssh-rsa BBBB"))
    known_hosts.pin(two, file)
    turned = replace(two, host_keys=two.host_keys[::-1])
    assert known_hosts.pin(turned, file)
    assert file.read_text() == known_hosts.render(turned)
    with pytest.raises(HangarError):
        known_hosts.pin(replace(two, host_keys=("ssh-rsa BBBB",)), file)


def test_a_rebuilt_instance_of_the_same_name_brings_its_own_key(server: Server, tmp_path: Path) -> None:
    """Compute Engine gives every instance a new id, be its name the old one; the old key admits nobody any more."""
    file = tmp_path / "known_hosts"
    first = replace(server, name="hangar-production", id="5290437158462", proxy_command=("gcloud",))
    rebuilt = replace(
        first, id="8811203945571", host_keys=("ssh-ed25519 AAAArebuilt", "ecdsa-sha2-nistp256 AAAAtoo")
    )
    known_hosts.pin(first, file)
    assert known_hosts.pin(rebuilt, file)
    assert file.read_text() == (
        "# The host keys of machine 8811203945571\nhangar-production ssh-ed25519 AAAArebuilt\n"
        "hangar-production ecdsa-sha2-nistp256 AAAAtoo\n"
    )


def test_a_changed_key_of_the_same_instance_stops_everything(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    instance = replace(server, name="hangar-production", id="5290437158462")
    known_hosts.pin(instance, file)
    before = file.read_text()
    with pytest.raises(HangarError) as caught:
        known_hosts.pin(replace(instance, host_keys=("ssh-ed25519 AAAAstranger",)), file)
    assert caught.value == HangarError(
        "The machine hangar-production has other SSH host keys than when it was made.",
        f"* Pinned in {file}\n* Nobody should have changed them; a stranger may be answering.",
        f"If you changed them yourself, remove {file} and run this again.",
    )
    assert file.read_text() == before
