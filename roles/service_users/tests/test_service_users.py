import itertools

import pytest

IDS = 65536


@pytest.fixture(scope="module")
def accounts(options):
    return options["service_users_accounts"]


@pytest.fixture(scope="module")
def names(accounts):
    return [account["name"] for account in accounts]


@pytest.fixture(scope="module")
def found(host, names, accounts):
    """What the machine knows of the accounts, asked once: the answers by question."""
    each = " ".join(names)
    units = " ".join(f"user@{account['uid']}.service" for account in accounts)
    questions = {
        "accounts": f"getent passwd {each}",
        "all accounts": "getent passwd",
        "groups": f"for name in {each}; do id --groups --name $name; done",
        "all groups": "getent group",
        "passwords": f"for name in {each}; do passwd --status $name; done",
        "keys": "ls /etc/ssh/authorized_keys",
        "sudo": f"for name in {each}; do sudo --list --other-user=$name; done",
        "folders": f"cd /srv; for name in {each}; do stat --format '%U:%G %a %n' $name $name/home $name/secrets; done",
        "subuid": "grep -v '^#' /etc/subuid",
        "subgid": "grep -v '^#' /etc/subgid",
        "managers": f"systemctl is-active {units}",
        "lingering": "ls /var/lib/systemd/linger",
    }
    script = "\n".join(f"( {command} ) 2>&1; echo ===" for command in questions.values())
    answers = host.check_output(script).split("===")
    return {name: answer.strip().splitlines() for name, answer in zip(questions, answers, strict=False)}


@pytest.fixture(scope="module")
def tried(attempt, names):
    """What the services can do, tried as them: (who, what, whose) → whether it worked."""
    deeds = {
        "become root": "sudo --non-interactive true {}",
        "read the home": "ls /srv/{}/home",
        "read the secrets": "ls /srv/{}/secrets",
        "write the secrets": "touch /srv/{}/secrets/.contract",
    }
    commands = {
        (who, what, whose): f"runuser -u {who} -- {command.format(whose)}"
        for who, whose in itertools.product(names, names)
        for what, command in deeds.items()
    }
    root = {
        ("root", what, whose): command.format(whose) for whose in names for what, command in deeds.items()
    }
    clean = {None: f"cd /srv; rm -f {' '.join(f'{name}/secrets/.contract' for name in names)}"}
    return {key: status == 0 for key, status in attempt({**commands, **root, **clean}).items()}


def test_each_service_has_an_account_and_a_group_with_its_pinned_number(found, accounts):
    assert [line.split(":")[:1] + line.split(":")[2:4] for line in found["accounts"]] == [
        [account["name"], str(account["uid"]), str(account["uid"])] for account in accounts
    ]


def test_a_service_is_in_no_group_but_its_own(found, names):
    assert found["groups"] == names


def test_a_service_has_no_password_and_no_shell(found, names):
    assert [line.split()[:2] for line in found["passwords"]] == [[name, "L"] for name in names]
    assert {line.split(":")[-1] for line in found["accounts"]} == {"/usr/sbin/nologin"}


def test_nobody_can_log_in_as_a_service(client, names):
    """Nobody can log in as a service, not even with the operator's key"""
    assert client.ssh(command="true").returncode == 0
    for name in names:
        assert client.ssh("-l", name, command="true").returncode == 255


def test_no_key_opens_a_service_account(found, names):
    assert found["keys"]
    assert set(found["keys"]) & set(names) == set()


def test_a_service_cannot_become_root(found, tried, names):
    assert sum("not allowed to run sudo" in line for line in found["sudo"]) == len(names)
    assert not any(tried[name, "become root", name] for name in names)


def test_the_folders_of_a_service_belong_to_whom_they_should(found, names):
    assert found["folders"] == [
        line
        for name in names
        for line in (
            f"root:root 755 {name}",
            f"{name}:{name} 750 {name}/home",
            f"root:{name} 750 {name}/secrets",
        )
    ]


@pytest.mark.parametrize("what", ["home", "secrets"])
def test_no_service_reads_the_files_of_another(tried, names, what):
    for reader, owner in itertools.permutations(names, 2):
        assert tried[owner, f"read the {what}", owner]
        assert not tried[reader, f"read the {what}", owner]


def test_no_service_writes_secrets(tried, names):
    """No service writes secrets, its own included"""
    for who, whose in itertools.product(names, names):
        assert tried["root", "write the secrets", whose]
        assert not tried[who, "write the secrets", whose]


def test_no_two_services_share_a_container_id(found, accounts):
    """The ids that the containers of one service run as belong to no other service and no account"""
    wanted = [f"{account['name']}:{account['subids']}:{IDS}" for account in accounts]
    assert found["subuid"] == found["subgid"] == wanted
    ranges = sorted((account["subids"], account["subids"] + IDS) for account in accounts)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ranges))
    used = [int(line.split(":")[2]) for line in found["all accounts"]]
    assert not [uid for uid in used for start, end in ranges if start <= uid < end]


def test_a_service_is_managed_from_boot_without_a_login(found, names):
    assert found["managers"] == ["active"] * len(names)
    assert set(names) <= set(found["lingering"])


@pytest.mark.disturbs
def test_a_user_manager_that_is_killed_starts_again(host, accounts):
    unit = f"user@{accounts[0]['uid']}.service"
    pid = f"systemctl show --property=MainPID --value {unit}"
    before = host.check_output(pid)
    host.check_output(f"kill -KILL {before}")
    host.check_output(
        f"timeout 60 sh -c 'until [ $({pid}) != {before} ] && systemctl is-active --quiet {unit}; do :; done'"
    )
    assert host.check_output(pid) not in ("0", before)


def test_the_groups_of_people_are_there(found, options):
    numbers = {line.split(":")[0]: line.split(":")[2] for line in found["all groups"]}
    for group in options["service_users_groups"]:
        assert group["gid"] in ("-", numbers[group["name"]])


def test_who_writes_dags_is_in_their_group(found, options):
    (members,) = [line.split(":")[3].split(",") for line in found["all groups"] if line.startswith("dags:")]
    assert set(options["service_users_dag_writers"]) <= set(members)


def test_the_operator_writes_dags(client):
    """The operator is in the group dags with a fresh login"""
    assert "dags" in client.ssh(command="id --groups --name").stdout.split()
