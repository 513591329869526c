"""ContainerCloud against an engine in memory: what it asks for, in which order, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from docker.errors import APIError

from hangar.cloud.base import MachineSpec, Server
from hangar.cloud.container import ContainerCloud, ready, request
from hangar.cloud.local import looking, ownership
from hangar.cloud.recipe import Recipe
from hangar.errors import CloudError, MachineUnreachable
from tests.unit.fake_engine import MEMORY, FakeEngine

Spec = Callable[..., MachineSpec]


def make(cloud: ContainerCloud, spec: MachineSpec) -> Server:
    said: list[str] = []
    return cloud.ensure(cloud.plan(spec), spec, said.append)


def test_a_machine_is_made_with_its_network_and_its_volume(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    server = make(cloud, spec())

    order = [method for method, _ in engine.calls]
    assert order == ["create_network", "create_volume", "create_container", "put_archive", "start"]
    assert (server.name, server.address, server.cloud) == ("hangar-local", "127.0.0.1", "container")
    assert server.host_keys == ("ssh-ed25519 AAAAC3Nz", "ssh-rsa AAAAB3Nz")
    assert server.ssh_sources == ("172.30.0.1/32",)
    assert server.limits == ("vm",)
    assert server.admin == "hangar"


def test_the_start_up_script_is_there_before_the_first_boot(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    make(cloud, spec())
    script = engine.files["hangar-local"]["usr/lib/hangar/startup"].decode()
    assert "key='ssh-ed25519 AAAA hangar-local'" in script
    assert "admin=hangar\n" in script


def test_a_second_run_asks_the_engine_for_nothing(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    first = make(cloud, spec())
    engine.calls.clear()
    assert not cloud.plan(spec()).has_changes
    assert make(cloud, spec()) == first
    assert engine.calls == []


def test_an_engine_that_loses_what_was_said_is_asked_again(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker does, now and then, on a busy computer: the keys are there all the same"""
    server = make(cloud, spec())
    said, lost = engine.exec_start, iter([b"", b""])
    monkeypatch.setattr(engine, "exec_start", lambda call: next(lost, said(call)))
    assert cloud.server() == server
    monkeypatch.setattr(engine, "exec_start", lambda call: b"")
    with pytest.raises(CloudError, match="The machine hangar-local has no SSH host keys"):
        cloud.server()


def test_ssh_is_published_on_loopback_only_and_its_port_is_fixed(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    make(cloud, spec())
    asked = engine.containers_["hangar-local"]["HostConfig"]["asked"]
    address, port = asked["port_bindings"]["22/tcp"]
    assert address == "127.0.0.1"
    assert 22022 <= port < 23022


def test_the_machine_gets_no_capability_that_reaches_the_computer(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    make(cloud, spec())
    asked = engine.containers_["hangar-local"]["HostConfig"]["asked"]
    assert asked["cap_drop"] == ["ALL"]
    assert not {"ALL", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "SYSLOG"} & set(asked["cap_add"])
    assert "privileged" not in asked
    assert "systempaths=unconfined" not in asked["security_opt"]


def test_an_interrupted_creation_is_begun_again(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    engine.fail["put_archive"] = [KeyboardInterrupt()]  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        make(cloud, spec())
    assert cloud.plan(spec()).changes[0].action == "create"
    make(cloud, spec())
    assert engine.did("remove_container") == ["hangar-local"]
    assert not cloud.plan(spec()).has_changes


def test_a_machine_that_is_starting_again_does_not_run_yet(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    """It was told to reboot: the engine calls it running, and publishes nothing."""
    server = make(cloud, spec())
    found = engine.inspect_container("hangar-local")
    ports = dict(found["NetworkSettings"]["Ports"])
    found["State"].update(Status="restarting", Restarting=True)
    found["NetworkSettings"]["Ports"] = {}
    assert cloud.server() is None
    found["State"].update(Status="running", Restarting=False)
    assert cloud.server() is None, "nothing is published yet"
    found["NetworkSettings"]["Ports"] = ports
    assert cloud.server() == server


def test_a_stopped_machine_is_started_and_keeps_its_id(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    before = make(cloud, spec())
    engine.stop("hangar-local", timeout=1)
    assert cloud.server() is None
    assert cloud.plan(spec()).changes[0].detail == "start it"
    assert make(cloud, spec()).id == before.id


def test_a_changed_size_is_applied_to_the_running_machine(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    before = make(cloud, spec())
    smaller = spec(cpus=1.5, memory_bytes=6 * 2**30)
    assert make(cloud, smaller).id == before.id
    assert engine.did("update_container") == ["hangar-local"]
    assert not cloud.plan(spec(cpus=1.5, memory_bytes=6 * 2**30, ssh_port=before.port)).has_changes
    assert cloud.plan(spec()).changes[0].fields == (("cpus", "1.5", "all"), ("memory", "6 GiB", "all"))


def test_a_size_can_be_taken_back(cloud: ContainerCloud, spec: Spec) -> None:
    make(cloud, spec(memory_bytes=6 * 2**30))
    assert cloud.plan(spec()).changes[0].fields == (("memory", "6 GiB", "all"),)
    make(cloud, spec())
    assert not cloud.plan(spec()).has_changes


def test_a_limit_beyond_the_computer_is_no_limit() -> None:
    wanted = MachineSpec("e", "n", 64.0, 2**50, None, "hangar", "key")
    assert request.limits(wanted, 4, MEMORY) == {
        "cpu_period": 100_000, "cpu_quota": 400_000, "mem_limit": MEMORY, "memswap_limit": MEMORY,
    }  # fmt: skip


def test_a_replaced_machine_stops_in_order_and_keeps_its_volume(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    before = make(cloud, spec())
    engine.calls.clear()
    after = make(cloud, spec(public_key="ssh-ed25519 BBBB other"))
    assert after.id != before.id
    order = [method for method, _ in engine.calls]
    assert order[:2] == ["stop", "remove_container"]
    assert "remove_volume" not in order


def test_a_new_recipe_makes_the_machine_anew_and_drops_the_old_image(
    engine: FakeEngine, spec: Spec, tmp_path: object
) -> None:
    old = Recipe()
    old.__dict__["hash"] = "0123456789abcdef"
    engine.images_["hangar-base:0123456789abcdef"] = {"hangar.recipe": "0123456789abcdef"}
    make(ContainerCloud("local", client=engine, recipe=old), spec())  # type: ignore[arg-type]
    engine.images_[f"hangar-base:{Recipe().hash}"] = {"hangar.recipe": Recipe().hash}

    cloud = ContainerCloud("local", client=engine)  # type: ignore[arg-type]
    (change,) = cloud.plan(spec()).changes
    assert change.action == "replace"
    assert change.fields == (("base image", "0123456789ab", Recipe().hash[:12]),)
    make(cloud, spec())
    assert "hangar-base:0123456789abcdef" not in engine.images_


def test_an_image_that_another_machine_uses_stays(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    engine.images_["hangar-base:0123456789abcdef"] = {"hangar.recipe": "0123456789abcdef"}
    engine.fail["remove_image"] = [APIError("409 Conflict")]
    make(cloud, spec())
    assert "hangar-base:0123456789abcdef" in engine.images_


def test_a_port_that_is_snatched_away_is_exchanged(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    engine.fail["start"] = [APIError("Bind for 127.0.0.1:22022 failed: port is already allocated")]
    make(cloud, spec())
    assert len(engine.did("create_container")) == 2
    assert engine.did("remove_container") == ["hangar-local"]


def test_a_wanted_port_that_is_taken_is_an_error_and_leaves_no_container(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    engine.fail["start"] = [APIError("port is already allocated")]
    with pytest.raises(CloudError) as caught:
        make(cloud, spec(ssh_port=2222))
    assert "port is already allocated" in caught.value.details
    assert engine.containers_ == {}


def test_a_container_of_that_name_that_is_not_ours_is_left_alone(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    engine.create_container("x", [], name="hangar-local", host_config={}, labels={})
    with pytest.raises(CloudError) as caught:
        cloud.plan(spec())
    assert caught.value.brief == "There is a container named hangar-local that Hangar did not make."
    assert cloud.destroy(lambda text: None) == []
    assert "hangar-local" in engine.containers_


def test_destroy_leaves_nothing_and_says_what_it_removed(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    make(cloud, spec())
    assert cloud.destroy(lambda text: None) == [
        "container hangar-local", "network hangar-local", "volume hangar-local-srv",
    ]  # fmt: skip
    assert (engine.containers_, engine.networks_, engine.volumes_) == ({}, {}, {})
    assert cloud.destroy(lambda text: None) == []


def test_destroy_touches_no_other_environment(engine: FakeEngine, spec: Spec) -> None:
    make(ContainerCloud("local", client=engine), spec())  # type: ignore[arg-type]
    other = ContainerCloud("sandbox", client=engine)  # type: ignore[arg-type]
    make(other, spec(environment="sandbox", name="hangar-sandbox"))
    other.destroy(lambda text: None)
    assert list(engine.containers_) == ["hangar-local"]
    assert list(engine.volumes_) == ["hangar-local-srv"]


def test_a_machine_that_ends_while_booting_shows_its_console(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    real = engine.start

    def start(name: str) -> None:
        real(name)
        engine.containers_[name]["State"].update(Running=False, ExitCode=255)

    engine.start = start  # type: ignore[method-assign]
    with pytest.raises(CloudError) as caught:
        make(cloud, spec())
    assert caught.value.brief == "The machine hangar-local ended while booting (status 255)."
    assert caught.value.details == "boot message"


def test_a_machine_that_never_finishes_booting_is_given_up(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "BOOT_TIMEOUT", 0.0)
    engine.boot_states = ["starting"]
    with pytest.raises(CloudError, match="did not boot within 0 s"):
        make(cloud, spec())


def test_a_failed_unit_does_not_stop_the_playbook_that_may_mend_it(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    engine.boot_states = ["degraded"]
    assert make(cloud, spec()).name == "hangar-local"


def test_a_machine_without_ssh_says_so(
    cloud: ContainerCloud, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "says_ssh", lambda address, port: False)
    monkeypatch.setattr(looking, "SSH_TIMEOUT", 0.0)
    with pytest.raises(MachineUnreachable, match="Nothing speaks SSH at"):
        make(cloud, spec())


@pytest.mark.parametrize(
    ("options", "profile", "expected"),
    [
        (["name=seccomp"], False, ["seccomp=unconfined"]),
        (["name=apparmor"], False, ["seccomp=unconfined", "apparmor=unconfined"]),
        (["name=apparmor"], True, ["seccomp=unconfined", "apparmor=hangar-machine"]),
        (["name=seccomp", "name=selinux"], False, ["seccomp=unconfined", "label=disable"]),
    ],
)
def test_a_security_module_is_named_only_where_the_engine_has_it(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec, tmp_path, monkeypatch: pytest.MonkeyPatch,
    options: list[str], profile: bool, expected: list[str],
) -> None:  # fmt: skip
    file = tmp_path / "hangar-machine"
    if profile:
        file.touch()
    monkeypatch.setattr("hangar.cloud.container.request.APPARMOR_PROFILE", file)
    engine.options = options
    make(cloud, spec())
    assert engine.containers_["hangar-local"]["HostConfig"]["asked"]["security_opt"] == expected


def test_a_machine_of_another_checkout_is_neither_taken_nor_removed(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec, tmp_path: Path
) -> None:
    make(cloud, spec())
    engine.containers_["hangar-local"]["Config"]["Labels"][ownership.CHECKOUT] = str(tmp_path)
    engine.calls.clear()
    for attempt in (lambda: cloud.plan(spec()), cloud.server, lambda: cloud.destroy(print)):
        with pytest.raises(CloudError) as refused:
            attempt()
        assert refused.value.brief == "The machine hangar-local belongs to another checkout of Hangar."
        assert refused.value.details == f"* That checkout: {tmp_path}"
    assert engine.calls == []


def test_a_machine_whose_checkout_is_gone_can_be_removed(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec, tmp_path: Path
) -> None:
    make(cloud, spec())
    engine.containers_["hangar-local"]["Config"]["Labels"][ownership.CHECKOUT] = str(tmp_path / "gone")
    assert "container hangar-local" in cloud.destroy(lambda _: None)


def test_a_volume_of_another_checkout_is_neither_taken_nor_removed(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec, tmp_path: Path
) -> None:
    """The other checkout's container may be gone: its data must not become ours, nor its network."""
    make(cloud, spec())
    engine.containers_.clear()
    for place in (engine.volumes_["hangar-local-srv"], engine.networks_["hangar-local"]):
        assert place["Labels"][ownership.CHECKOUT] == str(ownership.REPO)
        place["Labels"][ownership.CHECKOUT] = str(tmp_path)
        engine.calls.clear()
        for attempt in (lambda: make(cloud, spec()), lambda: cloud.destroy(print)):
            with pytest.raises(CloudError) as refused:
                attempt()
            assert refused.value.details == f"* That checkout: {tmp_path}"
        assert engine.calls == []
        place["Labels"][ownership.CHECKOUT] = str(tmp_path / "gone")
    assert make(cloud, spec()).name == "hangar-local"


def test_a_volume_without_a_checkouts_name_is_ours(
    cloud: ContainerCloud, engine: FakeEngine, spec: Spec
) -> None:
    make(cloud, spec())
    for place in (engine.volumes_["hangar-local-srv"], engine.networks_["hangar-local"]):
        del place["Labels"][ownership.CHECKOUT]
    assert len(cloud.destroy(lambda _: None)) == 3
