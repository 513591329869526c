"""VmCloud against an engine in memory: what it asks for, in which order, and what it leaves alone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from hangar.cloud.base import MachineSpec, Server
from hangar.cloud.local import looking
from hangar.cloud.vm import VmCloud, driver, request
from hangar.cloud.vm.images import Images
from hangar.config.vm import Vm
from hangar.errors import CloudError, MachineUnreachable
from tests.templates.test_vm_launcher import launcher
from tests.unit.fake_engine import FakeEngine

Spec = Callable[..., MachineSpec]
HEAD = f"head --bytes={request.TOLD} {request.RUN}"
ANNOUNCED = f"{HEAD}/announced"
KEYS = "key ssh-ed25519 AAAAC3Nz\nkey ssh-rsa AAAAB3Nz\n"


@pytest.fixture
def vm_engine(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    monkeypatch.setattr(driver, "_kvm_group", lambda: 108)
    engine.answers[ANNOUNCED] = (0, f"{KEYS}ready\n")
    return engine


@pytest.fixture
def vm(vm_engine: FakeEngine) -> VmCloud:
    return VmCloud("local", Vm(), client=vm_engine)  # type: ignore[arg-type]


def make(cloud: VmCloud, spec: MachineSpec, said: list[str] | None = None) -> Server:
    return cloud.ensure(cloud.plan(spec), spec, (said if said is not None else []).append)


def test_a_machine_is_made_of_two_images_and_two_disks(
    vm: VmCloud, vm_engine: FakeEngine, spec: Spec
) -> None:
    server = make(vm, spec())

    images = Images()
    assert vm_engine.did("commit") == [
        f"hangar-vm-root:{images.recipe}",
        f"hangar-emulator:{images.tag(images.emulator)}",
    ]
    assert sorted(vm_engine.volumes_) == ["hangar-local-disk", "hangar-local-srv"]
    assert [name for name in vm_engine.did("create_container") if name] == [
        "hangar-local-builder", "hangar-local",
    ]  # fmt: skip
    assert list(vm_engine.containers_) == ["hangar-local"], "the builder is gone"
    assert (server.cloud, server.address, server.limits) == ("vm", "127.0.0.1", ())
    assert not server.emulated, "it did not say how it runs"
    assert server.host_keys == ("ssh-ed25519 AAAAC3Nz", "ssh-rsa AAAAB3Nz")
    assert server.ssh_sources == ("172.30.0.1/32",), "whose firewall sees the bridge, and not QEMU's 10.0.2.2"


def test_its_container_may_do_nothing_but_run_the_emulator(
    vm: VmCloud, vm_engine: FakeEngine, spec: Spec
) -> None:
    make(vm, spec())
    found = vm_engine.containers_["hangar-local"]
    asked = found["HostConfig"]["asked"]
    assert found["Config"]["user"] == "64055:64055"
    assert (asked["read_only"], asked["cap_drop"]) == (True, ["ALL"])
    # In this computer's memory, and root in the machine writes to it: bounded, with room for two images.
    (room,) = re.findall(r"size=(\d+)m", asked["tmpfs"][request.RUN])
    assert 2 * launcher.IMAGE < int(room) << 20 <= 1 << 30
    assert asked["security_opt"] == ["no-new-privileges"]
    assert asked["port_bindings"]["2222/tcp"][0] == "127.0.0.1"
    assert (asked["devices"], asked["group_add"]) == (["/dev/kvm"], ["108"])


def test_the_start_up_script_mounts_the_data_disk(vm: VmCloud, vm_engine: FakeEngine, spec: Spec) -> None:
    make(vm, spec())
    files = vm_engine.files["hangar-local"]
    assert sorted(files) == ["launcher.py", "startup"]
    assert "device=/dev/disk/by-id/virtio-hangar-srv" in files["startup"].decode()


def test_a_second_run_asks_the_engine_for_nothing(vm: VmCloud, vm_engine: FakeEngine, spec: Spec) -> None:
    first = make(vm, spec())
    vm_engine.calls.clear()
    assert not vm.plan(spec()).has_changes
    assert make(vm, spec()) == first
    assert vm_engine.calls == []


def test_another_size_keeps_both_disks(vm: VmCloud, vm_engine: FakeEngine, spec: Spec) -> None:
    make(vm, spec())
    vm_engine.calls.clear()
    make(vm, spec(cpus=1, memory_bytes=5 * 2**30))
    assert vm_engine.did("stop") == ["hangar-local"]
    assert vm_engine.did("remove_volume") == []
    command = vm_engine.containers_["hangar-local"]["Config"]["command"]
    assert command[command.index("--cpus") + 1] == "1"
    assert command[command.index("--memory-mib") + 1] == "5120"


def test_another_operator_gets_a_new_system_disk_and_the_old_data(
    vm: VmCloud, vm_engine: FakeEngine, spec: Spec
) -> None:
    make(vm, spec())
    make(vm, spec(public_key="ssh-ed25519 BBBB other"))
    assert vm_engine.did("remove_volume") == ["hangar-local-disk"]
    assert vm_engine.did("stop") == ["hangar-local"], "services end in order first"


def test_it_says_when_the_processor_is_emulated(vm: VmCloud, vm_engine: FakeEngine, spec: Spec) -> None:
    vm_engine.answers[f"{HEAD}/accelerator"] = (0, "emulation")
    answers = iter([*[""] * looking.LOOKS, f"{KEYS}ready\n"])
    before = vm_engine.exec_start
    vm_engine.exec_start = lambda call: (  # type: ignore[method-assign]
        next(answers, f"{KEYS}ready\n").encode() if call == ANNOUNCED else before(call)
    )
    said: list[str] = []
    make(vm, spec(), said)
    assert "wait for the machine to boot (its processor is emulated: several times slower)" in said
    server = vm.server()
    assert server
    assert server.emulated


def test_a_machine_that_does_not_boot_shows_its_console(
    vm: VmCloud, vm_engine: FakeEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "BOOT_TIMEOUT", 0)
    vm_engine.answers[ANNOUNCED] = (1, "no such file")
    with pytest.raises(CloudError) as late:
        make(vm, spec())
    assert late.value.brief == "The machine hangar-local did not boot within 0 minutes."
    assert late.value.details == "boot message"


def test_a_machine_that_still_boots_has_no_keys_yet(vm: VmCloud, vm_engine: FakeEngine, spec: Spec) -> None:
    make(vm, spec())
    vm_engine.answers[ANNOUNCED] = (1, "")
    with pytest.raises(CloudError) as early:
        vm.server()
    assert early.value.brief == "The machine hangar-local has not told its SSH host keys."


def test_a_disk_that_cannot_be_filled_says_why_and_leaves_no_builder(
    vm: VmCloud, vm_engine: FakeEngine, spec: Spec
) -> None:
    vm_engine.statuses["hangar-local-builder"] = 1
    with pytest.raises(CloudError) as failed:
        make(vm, spec())
    assert failed.value.brief == "The system disk could not be made."
    assert "Status 1" in failed.value.details
    assert vm_engine.containers_ == {}


def test_destroy_takes_both_disks(vm: VmCloud, vm_engine: FakeEngine, spec: Spec) -> None:
    make(vm, spec())
    vm.destroy(lambda text: None)
    assert (vm_engine.containers_, vm_engine.volumes_, vm_engine.networks_) == ({}, {}, {})


def test_memory_is_half_of_the_computers_within_bounds(spec: Spec) -> None:
    assert [request.memory_bytes(spec(), gib * 2**30) // 2**30 for gib in (6, 12, 64)] == [4, 6, 8]
    assert request.memory_bytes(spec(memory_bytes=5 * 2**30), 64 * 2**30) == 5 * 2**30


def test_ssh_must_answer_too(vm: VmCloud, spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "SSH_TIMEOUT", 0)
    monkeypatch.setattr(looking, "says_ssh", lambda address, port: False)
    with pytest.raises(MachineUnreachable) as mute:
        make(vm, spec())
    assert mute.value.brief == "Nothing speaks SSH on the machine hangar-local, though it has booted."
