import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.templates.render import render, settings


def test_an_editor_may_watch_as_much_as_is_set() -> None:
    text = render("remote_ssh", "/etc/sysctl.d/60-hangar-remote-ssh.conf", remote_ssh_watched_files=1000)
    assert settings(text) == {"fs.inotify.max_user_watches": "1000", "fs.inotify.max_user_instances": "1024"}


def test_nobody_types_into_a_terminal_that_roots_call_of_a_service_user_shares() -> None:
    """A shell of root's is at that terminal, and would read what `as-service USER …` left there."""
    text = render("hardening_kernel", "/etc/sysctl.d/70-hangar-hardening.conf")
    assert "-dev.tty.legacy_tiocsti = 0" in text.splitlines()


def test_who_dies_is_kept_by_no_handler_that_comes_later() -> None:
    """systemd-coredump's package sets kernel.core_pattern itself; what it reads for the rest is ours."""
    text = ConfigParser()
    text.read_string(render("hardening_kernel", "/etc/systemd/coredump.conf.d/50-hangar-core-dumps.conf"))
    assert dict(text["Coredump"]) == {"storage": "none", "processsizemax": "0"}


PARAMETERS = "/etc/sysctl.d/70-hangar-hardening.conf"
SYSCTL = Path("/usr/lib/systemd/systemd-sysctl")
DEBIANS = """
net.ipv4.conf.default.rp_filter = 2
net.ipv4.conf.*.rp_filter = 2
-net.ipv4.conf.all.rp_filter
net.ipv6.conf.*.accept_redirects = 1
"""
"""As in Debian's linux-sysctl-defaults, and what an interface has that was there before the parameters."""


@pytest.mark.skipif(not SYSCTL.exists(), reason="there is no systemd here")
@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({}, ["1", "0"]),
        ({"hardening_kernel_off": ["network.spoofing"]}, ["2", "0"]),
        ({"hardening_kernel_parameters": {"net.ipv4.conf.all.rp_filter": 0}}, ["0", "0"]),
        ({"hardening_kernel_parameters": {"net.ipv4.conf.lo.rp_filter": 2}}, ["2", "0"]),
    ],
    ids=["as it is", "left open", "another value for all", "another value for one"],
)
def test_no_interface_is_looser_than_the_rest(
    tmp_path: Path, options: dict[str, object], values: list[str]
) -> None:
    """By systemd's own program. Of `all` and the interface the looser counts, for IPv6 the interface alone."""
    debians, ours = tmp_path / "50-default.conf", tmp_path / "70-hangar-hardening.conf"
    debians.write_text(DEBIANS)
    ours.write_text(render("hardening_kernel", PARAMETERS, **options))
    asked = "/proc/sys/net/ipv4/conf/lo/rp_filter /proc/sys/net/ipv6/conf/lo/accept_redirects"
    script = f"{SYSCTL} {debians} && {SYSCTL} --prefix=/net {debians} {ours} && cat {asked}"
    argv = ["unshare", "--map-root-user", "--net", "sh", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True)
    if "unshare" in done.stderr or "ipv6" in done.stderr:
        pytest.skip("no namespaces here, or no IPv6")
    assert (done.stdout.split(), done.returncode) == (values, 0), done.stderr
