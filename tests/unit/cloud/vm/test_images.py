"""What the system disk of a virtual machine is filled with."""

import yaml

from hangar.cloud.vm.images import Images
from hangar.contracts import effective_options
from hangar.paths import REPO

KEYS_OR_LISTENERS = {"postgresql-17", "ssl-cert", "prometheus-node-exporter"}
"""Packages that make a key or open a port when they come: two machines would share it, or have it too early."""


def test_what_the_roles_install_on_every_machine_is_on_the_disk() -> None:
    """Minutes of an emulated processor; a package that is not there is installed by its role."""
    options = effective_options(REPO / "tests/templates/inventory.yml")
    accounts = yaml.safe_load((REPO / "roles/hardening_accounts/vars/main.yml").read_text())
    wanted = {
        *options["base_packages"],
        *options["docker_host_packages"],
        *options["hardening_system_packages"],
        *accounts["__hardening_accounts_packages"],
        *("acct", "aide", "auditd"),
    }
    images = Images()
    assert wanted - {*images.base.packages, *images.root.packages} == set()


def test_nothing_on_the_disk_makes_a_key_or_opens_a_port() -> None:
    assert KEYS_OR_LISTENERS.isdisjoint(Images().root.packages)


def test_the_daemon_of_root_is_closed_before_the_machine_first_starts() -> None:
    setup = (REPO / "templates/vm/root/setup.sh").read_text()
    assert "systemctl mask docker.service docker.socket containerd.service" in setup
