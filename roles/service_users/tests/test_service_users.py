import itertools

import pytest

IDS = 65536


@pytest.fixture(scope="module")
def accounts(options):
    return options["service_users_accounts"]


@pytest.fixture(scope="module")
def names(accounts):
    return [account["name"] for account in accounts]


def refused(host, user, command):
    """Run as a service user; True when it did not work and root's same command does."""
    assert host.run(command).rc == 0, "root cannot do it either, so this shows nothing"
    return host.run(f"runuser -u {user} -- {command}").rc != 0


def test_each_service_has_an_account_and_a_group_with_its_pinned_number(host, accounts):
    found = host.check_output(f"getent passwd {' '.join(account['name'] for account in accounts)}")
    assert [line.split(":")[:1] + line.split(":")[2:4] for line in found.splitlines()] == [
        [account["name"], str(account["uid"]), str(account["uid"])] for account in accounts
    ]


def test_a_service_is_in_no_group_but_its_own(host, names):
    for name in names:
        assert host.check_output(f"id --groups --name {name}") == name


def test_a_service_has_no_password_and_no_shell(host, names):
    for name in names:
        assert host.check_output(f"passwd --status {name}").split()[1] == "L"
        assert host.check_output(f"getent passwd {name}").endswith(":/usr/sbin/nologin")


def test_nobody_can_log_in_as_a_service(client, names):
    """Nobody can log in as a service, not even with the operator's key"""
    assert client.ssh(command="true").returncode == 0
    for name in names:
        assert client.ssh("-l", name, command="true").returncode == 255


def test_no_key_opens_a_service_account(host, names):
    for name in names:
        assert not host.file(f"/etc/ssh/authorized_keys/{name}").exists


def test_a_service_cannot_become_root(host, names):
    for name in names:
        assert "not allowed to run sudo" in host.check_output(f"sudo --list --other-user={name}")
        assert host.run(f"runuser -u {name} -- sudo --non-interactive true").rc != 0


def test_the_folders_of_a_service_belong_to_whom_they_should(host, names):
    for name in names:
        found = host.check_output(
            f"stat --format '%U:%G %a' /srv/{name} /srv/{name}/home /srv/{name}/secrets"
        )
        assert found.splitlines() == ["root:root 755", f"{name}:{name} 750", f"root:{name} 750"]


def test_no_service_reads_the_files_of_another(host, names):
    for reader, owner in itertools.permutations(names, 2):
        assert host.run(f"runuser -u {owner} -- ls /srv/{owner}/home").rc == 0
        assert refused(host, reader, f"ls /srv/{owner}/home")
        assert refused(host, reader, f"ls /srv/{owner}/secrets")


def test_no_service_writes_its_own_secrets(host, names):
    for name in names:
        assert host.run(f"runuser -u {name} -- test -r /srv/{name}/secrets").rc == 0
        assert host.run(f"runuser -u {name} -- test -w /srv/{name}/secrets").rc != 0


def test_no_two_services_share_a_container_id(host, accounts):
    """The ids that the containers of one service run as belong to no other service and no account"""
    for database in ("/etc/subuid", "/etc/subgid"):
        lines = [line for line in host.file(database).content_string.splitlines() if not line.startswith("#")]
        assert lines == [f"{account['name']}:{account['subids']}:{IDS}" for account in accounts]
    ranges = sorted((account["subids"], account["subids"] + IDS) for account in accounts)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ranges))
    used = [int(line.split(":")[2]) for line in host.check_output("getent passwd").splitlines()]
    assert not [uid for uid in used for start, end in ranges if start <= uid < end]


def test_a_service_is_managed_from_boot_without_a_login(host, accounts):
    units = " ".join(f"user@{account['uid']}.service" for account in accounts)
    assert host.run(f"systemctl is-active {units}").stdout.split() == ["active"] * len(accounts)
    for account in accounts:
        assert host.file(f"/var/lib/systemd/linger/{account['name']}").exists


def test_the_groups_of_people_are_there(host, options):
    for group in options["service_users_groups"]:
        found = host.check_output(f"getent group {group['name']}").split(":")
        assert group["gid"] in ("-", found[2])
