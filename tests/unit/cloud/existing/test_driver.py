from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hangar import config, machine, paths, pipeline, process
from hangar.cloud import cloud_for
from hangar.cloud.existing import ExistingCloud
from hangar.errors import ConfigError, HangarError
from hangar.inventory import variables
from hangar.plan import Change
from hangar.process import Completed
from hangar.ssh import client_config, keys

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPM8VnTqjF2hqTqKj5dT5z0q3D8yqTKbR0gJ0u2bT9aB"
SETTINGS = f"""
cloud: existing
access: {{private_key: id}}
existing: {{address: 203.0.113.7, port: 2222, user: debian, host_key: "{KEY} root@vm"}}
"""

Make = Callable[..., config.Config]


class FakeSsh:
    """A machine that is fit; it joins the group when told to."""

    def __init__(self) -> None:
        self.member = False
        self.logins: list[tuple[str, str]] = []

    def run(self, argv: Sequence[str], *, input: str | None = None, **_: Any) -> Completed:
        if argv[0] != "ssh":
            return Completed(tuple(argv), 0, "", "")
        self.logins.append((argv[-1], input or ""))
        if "usermod" in (input or ""):
            self.member = True
        text = "system=debian 13\nname=Debian GNU/Linux 13 (trixie)\npython=/usr/bin/python3\nsudo=yes\n"
        return Completed(tuple(argv), 0, text + ("member=yes\n" if self.member else ""), "")


@pytest.fixture
def ssh(monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    fake = FakeSsh()
    monkeypatch.setattr(process, "run", fake.run)
    monkeypatch.setattr(process, "bounded", fake.run)
    return fake


@pytest.fixture
def settings(repo: Path) -> config.Config:
    folder = paths.env_dir("local")
    keys.ensure_key(folder / "id", "mine")
    (folder / "platform.yml").write_text(SETTINGS)
    return config.load("local")


def said(_: str) -> None:
    """Nobody listens."""


def test_the_driver_is_the_one_that_platform_yml_names(settings: config.Config) -> None:
    assert isinstance(cloud_for(settings), ExistingCloud)


def test_the_first_login_trusts_the_pinned_key_alone(settings: config.Config, ssh: FakeSsh) -> None:
    cloud_for(settings).prepare(said)
    assert paths.known_hosts("local").read_text().splitlines()[1:] == [f"hangar-local {KEY}"]
    options = client_config.read(paths.ssh_config("local"))
    assert options["StrictHostKeyChecking"] == "yes"
    assert (options["HostName"], options["Port"], options["User"]) == ("203.0.113.7", "2222", "debian")
    assert options["IdentityFile"] == str(paths.env_dir("local") / "id")


def test_the_plan_says_what_is_there_and_what_a_login_will_need(
    settings: config.Config, ssh: FakeSsh
) -> None:
    spec = machine.spec(settings, make_key=False)
    where = "debian@203.0.113.7, Debian GNU/Linux 13 (trixie)"
    plan = cloud_for(settings).plan(spec)
    assert plan.changes == (
        Change(
            "machine hangar-local", "update", f"{where}; that group alone may log in",
            (("debian in group hangar-admins", "no", "yes"),),
        ),
    )  # fmt: skip
    assert plan.guarded, "it is somebody's in earnest: the change is asked for"
    assert len(ssh.logins) == 1
    assert "usermod" not in ssh.logins[0][1]
    ssh.member = True
    assert cloud_for(settings).plan(spec).changes == (Change("machine hangar-local", "nothing", where),)


def test_one_login_serves_the_whole_call(settings: config.Config, ssh: FakeSsh) -> None:
    ssh.member = True
    cloud, spec = cloud_for(settings), machine.spec(settings, make_key=True)
    cloud.prepare(said)
    server = cloud.ensure(cloud.plan(spec), spec, said)
    assert len(ssh.logins) == 1
    assert (server.address, server.port, server.admin) == ("203.0.113.7", 2222, "debian")
    assert server.host_keys == (KEY,)


def test_the_account_joins_the_group_once(settings: config.Config, ssh: FakeSsh) -> None:
    spec = machine.spec(settings, make_key=True)
    for _ in range(2):
        cloud = cloud_for(settings)
        cloud.ensure(cloud.plan(spec), spec, said)
    changes = [(command, script) for command, script in ssh.logins if "usermod" in script]
    assert changes == [
        (
            "sudo -n sh -s",
            "getent group hangar-admins >/dev/null || groupadd --system hangar-admins;"
            " usermod --append --groups hangar-admins debian",
        )
    ]


def test_a_new_key_in_platform_yml_is_a_new_machine(settings: config.Config, ssh: FakeSsh) -> None:
    cloud_for(settings).prepare(said)
    paths.platform_file("local").write_text(SETTINGS.replace(KEY, OTHER))
    cloud_for(config.load("local")).prepare(said)
    assert paths.known_hosts("local").read_text().splitlines()[1:] == [f"hangar-local {OTHER}"]


def test_destroy_forgets_and_leaves_the_machine_alone(settings: config.Config, ssh: FakeSsh) -> None:
    cloud_for(settings).prepare(said)
    doomed = pipeline.removal(settings, with_data=True)
    assert doomed.goes == ("what this computer knows of hangar-local",)
    assert doomed.stays == ("the machine at 203.0.113.7 itself, as it is now, with all its data",)
    assert not doomed.takes_data
    before = len(ssh.logins)
    assert pipeline.destroy(settings, with_data=True) == [".hangar/local"]
    assert not paths.state_dir("local").exists()
    assert (paths.env_dir("local") / "id").exists(), "your own key stays yours"
    assert len(ssh.logins) == before


def test_log_ins_come_from_anywhere_unless_it_is_said(settings: config.Config, ssh: FakeSsh) -> None:
    server = cloud_for(settings).server()
    assert server is not None
    found = variables.of(server, settings, paths.env_dir("local") / "id")
    assert found["firewall_ssh_sources"] == ["0.0.0.0/0", "::/0"]
    assert found["ssh_server_penalty_exempt"] == [], "nobody is spared for coming from anywhere"
    narrowed = config.load("local", ["existing.ssh_sources=[203.0.113.0/24]"])
    server = cloud_for(narrowed).server()
    assert server is not None
    found = variables.of(server, narrowed, paths.env_dir("local") / "id")
    assert found["firewall_ssh_sources"] == ["203.0.113.0/24"]


def test_several_keys_may_stand_in_one_text_or_in_a_list(settings: config.Config) -> None:
    for text in (f"|\n    {KEY}\n\n    {OTHER} x\n", f"[{KEY}, {OTHER}]"):
        paths.platform_file("local").write_text(
            f"cloud: existing\naccess: {{private_key: id}}\nexisting:\n  address: vm.example.org\n  user: me\n"
            f"  host_key: {text}"
        )
        assert config.load("local").existing.host_key == (KEY, OTHER)


def test_the_key_is_the_operators_own(settings: config.Config) -> None:
    paths.platform_file("local").write_text(SETTINGS.replace("access: {private_key: id}", ""))
    with pytest.raises(ConfigError) as caught:
        config.load("local")
    assert "access.private_key: is missing" in caught.value.details


def test_it_has_no_console(settings: config.Config) -> None:
    assert cloud_for(settings).console() == ""


def test_an_unfit_machine_stops_before_anything_is_changed(
    settings: config.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        process, "bounded", lambda argv, **_: Completed(tuple(argv), 0, "system=ubuntu 24.04\nsudo=yes\n", "")
    )
    with pytest.raises(HangarError, match="is not Debian 13"):
        pipeline.plan(settings)
    assert not paths.hosts_file("local").exists()
