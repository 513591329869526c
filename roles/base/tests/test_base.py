import re

import pytest

UNITS = ("systemd-timesyncd.service", "unattended-upgrades.service", "systemd-journald.service")

UNSIGNED = (
    "APT::Get::AllowUnauthenticated",
    "Acquire::AllowInsecureRepositories",
    "Acquire::AllowWeakRepositories",
    "Acquire::AllowDowngradeToInsecureRepositories",
)
"""Settings of apt that would let it take what nobody signed."""


@pytest.fixture(scope="module")
def apt(host):
    """What apt makes of all its configuration files."""
    return host.check_output("apt-config dump")


def entries(apt, name):
    return re.findall(rf'^{re.escape(name)}:: "(.*)";$', apt, re.MULTILINE)


def value(apt, name):
    return (re.findall(rf'^{re.escape(name)} "(.*)";$', apt, re.MULTILINE) or [""])[-1]


def test_the_packages_of_the_platform_are_installed(host, options):
    wanted = [*options["base_packages"], *options["base_packages_extra"]]
    shape = "'${Package} ${db:Status-Status}\\n'"
    found = host.run(f"dpkg-query --show --showformat {shape} {' '.join(wanted)}").stdout
    assert set(wanted) == {line.split()[0] for line in found.splitlines() if line.endswith(" installed")}


def test_packages_are_taken_from_signed_archives_only(host, apt):
    sources = host.check_output("cat /etc/apt/sources.list.d/*.sources")
    older = host.run("cat /etc/apt/sources.list.d/*.list /etc/apt/sources.list").stdout
    assert sources.count("Types: deb") == sources.count("Signed-By: ")
    assert not re.search(r"trusted\s*[=:]\s*yes", sources + older, re.IGNORECASE)
    assert [name for name in UNSIGNED if value(apt, name) not in ("", "0", "false")] == []


def test_security_updates_are_installed_every_day(host, options, apt):
    if not options["base_unattended_upgrades"]:
        pytest.skip("switched off in platform.yml (updates.unattended)")
    assert value(apt, "APT::Periodic::Update-Package-Lists") == "1"
    assert value(apt, "APT::Periodic::Unattended-Upgrade") == "1"
    assert entries(apt, "Unattended-Upgrade::Origins-Pattern") == [
        "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"
    ]
    timers = host.check_output("systemctl is-active apt-daily.timer apt-daily-upgrade.timer")
    assert timers.split() == ["active", "active"]


def test_security_updates_restart_neither_the_machine_nor_a_container(host, options, apt):
    assert value(apt, "Unattended-Upgrade::Automatic-Reboot") == "false"
    kept = entries(apt, "Unattended-Upgrade::Package-Blacklist")
    patterns = [pattern.replace("\\\\", "\\") for pattern in kept]
    for package in ("docker.io", "containerd", "runc", "rootlesskit", "slirp4netns"):
        upgraded = not any(re.search(pattern, package) for pattern in patterns)
        assert not upgraded, f"{package} may be upgraded under running containers"
    assert (
        not host.exists("needrestart")
        or "'l'" in host.file("/etc/needrestart/conf.d/50-hangar.conf").content_string
    )


def test_the_configured_authorities_are_trusted_and_no_others(host, options):
    """The authorities in platform.yml are trusted, and one that was taken out of it no more"""
    wanted = {
        certificate["name"]: certificate["content"] for certificate in options["base_trusted_certificates"]
    }
    folder = "/usr/local/share/ca-certificates/hangar"
    assert set(host.run(f"ls {folder}").stdout.split()) == {f"{name}.crt" for name in wanted}
    bundle = host.file("/etc/ssl/certs/ca-certificates.crt").content_string
    links = host.check_output("readlink /etc/ssl/certs/*.pem || true")
    for name, content in wanted.items():
        assert content.strip().splitlines()[1] in bundle, f"{name} is not in the list that programs read"
    linked = {line.rsplit("/", 1)[-1] for line in links.splitlines() if folder in line}
    assert linked == {f"{name}.crt" for name in wanted}


def test_the_machine_keeps_the_configured_time_zone_and_language(host, options):
    assert host.file("/etc/localtime").linked_to == f"/usr/share/zoneinfo/{options['base_timezone']}"
    assert host.check_output("date +%Z%z") == host.check_output(f"TZ={options['base_timezone']} date +%Z%z")
    assert f"LANG={options['base_locale']}" in host.check_output("cat /etc/default/locale")


def test_a_session_speaks_the_configured_language(client, options):
    assert client.ssh(command="printenv LANG").stdout.strip() == options["base_locale"]


@pytest.mark.vm
def test_the_clock_follows_time_servers(host):
    shown = host.check_output("timedatectl show --property NTP --property NTPSynchronized --value")
    assert shown.split() == ["yes", "yes"]


def test_the_journal_survives_a_restart_within_its_limit(host, options):
    shown = host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert re.findall(r"^SystemMaxUse=(.*)$", shown, re.MULTILINE)[-1] == options["base_journal_size"]
    assert host.check_output("ls -d /var/log/journal/*/system.journal")


def test_the_journal_is_closed_to_services(host, options):
    for account in options["service_users_accounts"]:
        if host.run(f"id -u {account['name']}").rc == 0:
            denied = host.run(f"runuser -u {account['name']} -- cat /var/log/journal/*/system.journal")
            assert denied.rc != 0


def test_system_folders_belong_to_root_and_only_root_writes_them(host):
    found = host.check_output(
        "stat --format '%U:%G %a %n' / /etc /usr /usr/local /usr/local/bin /var /srv /opt"
    )
    for line in found.splitlines():
        owner, mode, path = line.split()
        assert owner.startswith("root:"), line
        assert not int(mode, 8) & (0o002 if path == "/usr/local/bin" else 0o022), line
