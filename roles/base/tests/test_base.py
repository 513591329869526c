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


FOLDERS = "/ /etc /usr /usr/local /usr/local/bin /var /srv /opt"


@pytest.fixture(scope="module")
def found(host, options):
    """What the machine knows of itself, asked once: the answers by question."""
    packages = " ".join([*options["base_packages"], *options["base_packages_extra"]])
    shape = "'${Package} ${db:Status-Status}\\n'"
    zone = options["base_timezone"]
    questions = {
        "packages": f"dpkg-query --show --showformat {shape} {packages} 2>/dev/null",
        "apt": "apt-config dump",
        "sources": "cat /etc/apt/sources.list.d/*.sources",
        "older sources": "cat /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null",
        "timers": "systemctl is-active apt-daily.timer apt-daily-upgrade.timer",
        "needrestart": "command -v needrestart >/dev/null && cat /etc/needrestart/conf.d/50-hangar.conf",
        "authorities": "ls /usr/local/share/ca-certificates/hangar 2>/dev/null",
        "trusted": "cat /etc/ssl/certs/ca-certificates.crt",
        "links": "readlink /etc/ssl/certs/*.pem",
        "zone": f"readlink /etc/localtime; date +%Z%z; TZ={zone} date +%Z%z",
        "language": "cat /etc/default/locale",
        "clock": "timedatectl show --property NTP --property NTPSynchronized --value",
        "logins": "systemctl show systemd-logind --property BindsTo,FileDescriptorStorePreserve,NeedDaemonReload",
        "journal": "systemd-analyze cat-config systemd/journald.conf; ls /var/log/journal/*/system.journal",
        "folders": f"stat --format '%U:%G %a %n' {FOLDERS}",
    }
    script = "\n".join(f"( {command} ); echo ===" for command in questions.values())
    answers = host.check_output(script).split("===\n")
    return {name: answer.removesuffix("===") for name, answer in zip(questions, answers, strict=True)}


@pytest.fixture(scope="module")
def apt(found):
    """What apt makes of all its configuration files."""
    return found["apt"]


def entries(apt, name):
    return re.findall(rf'^{re.escape(name)}:: "(.*)";$', apt, re.MULTILINE)


def value(apt, name):
    return (re.findall(rf'^{re.escape(name)} "(.*)";$', apt, re.MULTILINE) or [""])[-1]


def test_the_packages_of_the_platform_are_installed(found, options):
    wanted = {*options["base_packages"], *options["base_packages_extra"]}
    assert wanted == {
        line.split()[0] for line in found["packages"].splitlines() if line.endswith(" installed")
    }


def test_packages_are_taken_from_signed_archives_only(found, apt):
    assert found["sources"].count("Types: deb") == found["sources"].count("Signed-By: ")
    assert not re.search(r"trusted\s*[=:]\s*yes", found["sources"] + found["older sources"], re.IGNORECASE)
    assert [name for name in UNSIGNED if value(apt, name) not in ("", "0", "false")] == []


def test_security_updates_are_installed_every_day(found, options, apt):
    if not options["base_unattended_upgrades"]:
        pytest.skip("switched off in platform.yml (updates.unattended)")
    assert value(apt, "APT::Periodic::Update-Package-Lists") == "1"
    assert value(apt, "APT::Periodic::Unattended-Upgrade") == "1"
    assert entries(apt, "Unattended-Upgrade::Origins-Pattern") == [
        "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"
    ]
    assert found["timers"].split() == ["active", "active"]


def test_security_updates_restart_neither_the_machine_nor_a_container(found, apt):
    assert value(apt, "Unattended-Upgrade::Automatic-Reboot") == "false"
    kept = entries(apt, "Unattended-Upgrade::Package-Blacklist")
    patterns = [pattern.replace("\\\\", "\\") for pattern in kept]
    for package in ("docker.io", "containerd", "runc", "rootlesskit", "slirp4netns"):
        upgraded = not any(re.search(pattern, package) for pattern in patterns)
        assert not upgraded, f"{package} may be upgraded under running containers"
    assert not found["needrestart"] or "= 'l'" in found["needrestart"]


def test_the_configured_authorities_are_trusted_and_no_others(found, options):
    """The authorities in platform.yml are trusted, and one that was taken out of it no more"""
    wanted = {
        certificate["name"]: certificate["content"] for certificate in options["base_trusted_certificates"]
    }
    files = {f"{name}.crt" for name in wanted}
    assert set(found["authorities"].split()) == files
    for name, content in wanted.items():
        body = "".join(content.split("-----")[2].split())
        assert body in "".join(found["trusted"].split()), f"{name} is not in the list that programs read"
    linked = [line for line in found["links"].splitlines() if "/ca-certificates/hangar/" in line]
    assert {line.rsplit("/", 1)[-1] for line in linked} == files


def test_the_machine_keeps_the_configured_time_zone_and_language(found, options):
    link, shown, expected = found["zone"].split()
    assert link == f"/usr/share/zoneinfo/{options['base_timezone']}"
    assert shown == expected
    assert f"LANG={options['base_locale']}" in found["language"]


def test_a_session_speaks_the_configured_language(client, options):
    assert client.ssh(command="printenv LANG").stdout.strip() == options["base_locale"]


def test_logins_start_again_with_the_message_bus_and_lose_no_session(found):
    """tests/e2e/test_restart.py kills the bus."""
    said = dict(line.split("=", 1) for line in found["logins"].splitlines())
    assert "dbus.service" in said["BindsTo"].split()
    assert (said["FileDescriptorStorePreserve"], said["NeedDaemonReload"]) == ("yes", "no")


@pytest.mark.vm
def test_the_clock_follows_time_servers(found):
    assert found["clock"].split() == ["yes", "yes"]


def test_the_journal_survives_a_restart_within_its_limit(found, options):
    assert (
        re.findall(r"^SystemMaxUse=(.*)$", found["journal"], re.MULTILINE)[-1] == options["base_journal_size"]
    )
    assert "/system.journal" in found["journal"].splitlines()[-1]
    assert (
        re.findall(r"^MaxRetentionSec=(.*)$", found["journal"], re.MULTILINE)[-1]
        == options["base_journal_age"]
    )
    # One log, and no second one that is fed from it.
    assert re.findall(r"^ForwardToSyslog=(.*)$", found["journal"], re.MULTILINE)[-1] == "no"
    assert not re.search(r"^Compress=(no|0|false|off)", found["journal"], re.MULTILINE | re.IGNORECASE)


def test_the_journal_is_closed_to_services(attempt, options):
    journal = "cat /var/log/journal/*/system.journal"
    services = [account["name"] for account in options["service_users_accounts"]]
    read = attempt(
        {"root": journal}
        | {name: f"id {name} && runuser -u {name} -- sh -c '{journal}'" for name in services}
    )
    assert read.pop("root") == 0
    assert 0 not in read.values()


def test_system_folders_belong_to_root_and_only_root_writes_them(found):
    assert found["folders"].count("\n") == len(FOLDERS.split())
    for line in found["folders"].splitlines():
        owner, mode, path = line.split()
        assert owner.startswith("root:"), line
        assert not int(mode, 8) & (0o002 if path == "/usr/local/bin" else 0o022), line
