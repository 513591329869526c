"""What comes from Secret Manager is in memory, its readers' alone, and stands nowhere else on the machine."""

import json

import pytest

UNITS = ("hangar-secrets.service",)

FOLDER = "/run/hangar-secrets"
CONNECTIONS = "/srv/airflow/connections"
MONITORING = 701

# Prints how many lines of its input hold a value. Short ones would be found by chance.
SEARCH = (
    "cat " + FOLDER + "/* | awk 'length >= 8' > /run/hangar-secrets-contract; "
    "{command} | grep -cFf /run/hangar-secrets-contract; rm -f /run/hangar-secrets-contract"
)


@pytest.fixture(scope="module")
def named(options):
    """The secrets that the machine is told to read; without any there is nothing to promise."""
    found = options["secret_manager_secrets"]
    if not found:
        pytest.skip("no secret is named that Secret Manager has")
    return found


def test_each_secret_that_is_named_is_here_and_no_other(host, named):
    assert set(host.check_output(f"ls {FOLDER}").split()) == set(named)


def test_a_secret_is_roots_and_its_readers_and_nobody_elses(host, named):
    told = host.check_output(f"cd {FOLDER} && stat --format '%n %u %g %a' *").splitlines()
    groups = {name: MONITORING if one["group"] == "monitoring" else 0 for name, one in named.items()}
    assert sorted(told) == sorted(f"{name} 0 {groups[name]} 440" for name in named)


def test_no_service_and_no_person_reads_them(attempt, named):
    tried = {
        (user, name): f"runuser -u {user} -- cat {FOLDER}/{name}"
        for user in ("airflow", "airbyte", "nobody")
        for name in named
    }
    tried["root"] = f"test -s {FOLDER}/{next(iter(named))}"
    told = attempt(tried)
    assert told.pop("root") == 0
    assert [what for what, status in told.items() if status == 0] == []


def test_they_are_in_memory(host, named):
    for place in (f"{FOLDER}/{next(iter(named))}", CONNECTIONS):
        assert host.check_output(f"findmnt --noheadings --output FSTYPE --target {place}") == "tmpfs"


def test_airflows_connections_are_read_by_root_and_airflow_alone(host, named):
    assert host.check_output(f"stat --format '%U %G %a' {CONNECTIONS}") == "root airflow 750"


def test_it_is_known_which_version_is_here(host, named):
    listed = json.loads(host.check_output("google-secrets list"))
    assert set(listed) == set(named)
    assert all(one["version"].isdigit() and one["since"] for one in listed.values())


def test_nothing_is_left_to_be_read(host, named):
    looked = host.run("google-secrets look")
    assert (looked.rc, looked.stdout) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        "journalctl --no-pager --boot", "ps axeww -o args=", "systemctl show '*'",
        "find /etc /var/lib/hangar /usr/local /tmp -xdev -type f -size -200k -exec cat {} +",
    ],
)  # fmt: skip
def test_no_value_stands_in(host, named, command):
    assert host.run(SEARCH.replace("{command}", command)).stdout.strip() == "0"


def test_new_versions_and_a_new_boot_are_seen(host, named):
    shown = host.check_output(
        "systemctl show hangar-secrets.timer hangar-secrets.service --property UnitFileState,ActiveState"
    )
    assert "UnitFileState=enabled" in shown.split("\n\n")[0]
    assert "ActiveState=active" in shown.split("\n\n")[0]
    assert "UnitFileState=enabled" in shown.split("\n\n")[1]
    before = host.check_output("systemctl show hangar-secrets.service --property Before --value").split()
    assert {"user@2001.service", "user@2002.service"} <= set(before)


def test_the_unit_that_reads_them_has_few_rights(host, named):
    told = host.check_output("systemd-analyze security --no-pager hangar-secrets.service | tail --lines=1")
    assert float(told.split(":")[1].split()[0]) <= 3.0, told


@pytest.mark.disturbs
def test_what_was_lost_is_read_again_by_the_unit(host, named):
    name = next(iter(named))
    host.check_output(f"rm {FOLDER}/{name} && systemctl start hangar-secrets.service")
    host.check_output(f"test -s {FOLDER}/{name}")
