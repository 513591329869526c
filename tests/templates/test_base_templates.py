import re

from tests.templates.render import render, settings

UPGRADES = "/etc/apt/apt.conf.d/90-hangar-unattended-upgrades"
SOURCES = "/etc/apt/sources.list.d/debian.sources"


def blacklist(text: str) -> list[str]:
    block = text.split("Package-Blacklist {")[1].split("};")[0]
    return re.findall(r'"(.*)";', block)


def test_security_updates_come_every_day_and_from_the_security_archive_alone() -> None:
    text = render("base", UPGRADES)
    assert 'APT::Periodic::Unattended-Upgrade "1";' in text
    origins = text.split("Unattended-Upgrade::Origins-Pattern {")[1].split("};")[0]
    assert re.findall(r'"(.*)";', origins) == [
        "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"
    ]
    assert text.index("#clear Unattended-Upgrade::Origins-Pattern;") < text.index("Origins-Pattern {")
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in text


def test_security_updates_can_be_switched_off() -> None:
    text = render("base", UPGRADES, base_unattended_upgrades=False)
    assert 'APT::Periodic::Unattended-Upgrade "0";' in text
    # What waits is told nevertheless (SecurityUpdatesPending).
    assert 'APT::Periodic::Update-Package-Lists "1";' in text


def test_packages_under_running_containers_are_named_exactly() -> None:
    """A name is not a pattern: libstdc++6 must not match others."""
    patterns = blacklist(render("base", UPGRADES, base_packages_upgraded_by_hand=["docker.io", "libstdc++6"]))
    assert [re.fullmatch(pattern.strip("^$").replace("\\\\", "\\"), name) is not None
            for pattern, name in zip(patterns, ["docker.io", "libstdc++6"], strict=True)] == [True, True]  # fmt: skip
    assert not re.search(patterns[0], "dockerXio")


def test_no_archive_stands_where_apts_daily_work_would_make_an_empty_file() -> None:
    lines = render("base", "/etc/apt/sources.list").splitlines()
    assert lines
    assert [line for line in lines if not line.startswith("#")] == []


def test_every_archive_is_signed_by_debian() -> None:
    text = render("base", SOURCES, base_debian_mirror="https://mirror.example/debian")
    blocks = [settings(block, ":") for block in text.split("\n\n")]
    assert [block["URIs"] for block in blocks] == [
        "https://mirror.example/debian",
        "http://deb.debian.org/debian-security",
    ]
    assert [block["Suites"] for block in blocks] == ["trixie trixie-updates", "trixie-security"]
    assert {block["Signed-By"] for block in blocks} == {"/usr/share/keyrings/debian-archive-keyring.gpg"}


def test_the_journal_is_bounded() -> None:
    found = settings(render("base", "/etc/systemd/journald.conf.d/50-hangar.conf", base_journal_size="200M"))
    assert (found["SystemMaxUse"], found["Storage"]) == ("200M", "persistent")


def test_the_journal_is_the_one_log() -> None:
    """By the name of Debian's own file, which says yes and sorts behind ours"""
    assert settings(render("base", "/etc/systemd/journald.conf.d/syslog.conf"))["ForwardToSyslog"] == "no"


def test_time_servers_are_the_networks_unless_they_are_named() -> None:
    path = "/etc/systemd/timesyncd.conf.d/50-hangar.conf"
    assert "NTP" not in settings(render("base", path))
    assert (
        settings(render("base", path, base_time_servers=["a.example", "b.example"]))["NTP"]
        == "a.example b.example"
    )
