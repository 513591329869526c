"""Who works on the machine, what they may do, and that nobody else is there."""

import json

import pytest

UNITS = ("hangar-people.service",)

UIDS = range(20_000, 30_000)
GROUPS = {
    "admin": {"dags", "hangar-admins", "hangar-people"},
    "developer": {"dags", "hangar-developers", "hangar-people"},
    "viewer": {"hangar-people", "hangar-viewers"},
}
AIRFLOW = "/usr/local/bin/hangar-airflow"
LOOK = [
    ("airflow", f"{AIRFLOW} list"),
    ("airflow", f"{AIRFLOW} state"),
    ("airflow", f"{AIRFLOW} state a_dag"),
]
WORK = [
    ("airflow", f"{AIRFLOW} {words}")
    for words in ("trigger a_dag", "pause a.dag", "unpause a-dag", "logs", "logs scheduler 50", "restart")
] + [("root", "/usr/local/bin/hangar-logs airflow 50")]
NEVER = [
    ("root", "/bin/sh"), ("airflow", "/bin/sh"), ("airbyte", "/bin/sh"), ("warehouse", "/usr/bin/psql"),
    ("root", f"{AIRFLOW} list"), ("airflow", f"{AIRFLOW} list --verbose"), ("airflow", f"{AIRFLOW} trigger --help"),
    ("airflow", f"{AIRFLOW} trigger a_dag --conf x"), ("airflow", f"{AIRFLOW} connections export"),
    ("airflow", f"{AIRFLOW} db shell"), ("airflow", "/usr/bin/docker ps"), ("root", "/usr/local/sbin/people show"),
    ("root", "/usr/local/bin/hangar-logs ../../etc/shadow"), ("root", "/usr/local/bin/hangar-logs airflow 5 5"),
    ("root", "/usr/local/sbin/as-service airflow id"), ("root", "/usr/local/sbin/airflow-secrets look"),
]  # fmt: skip
BAD_WORDS = ("trigger 'a;id'", "trigger '$(id)'", "trigger --help", "trigger 'a b'", "state -h", "logs scheduler 0",
             "logs ../x", "list x", "pause", "export", "'trigger a'", "trigger 'a\nb'")  # fmt: skip


@pytest.fixture(scope="module")
def people(options):
    return {person["name"]: person for person in options["people_accounts"]}


@pytest.fixture(scope="module")
def machine(host):
    """All that has to be asked, in one go."""
    told = host.check_output("""
        cat /etc/passwd; echo ==
        cat /etc/shadow; echo ==
        cat /etc/group; echo ==
        cd /etc/ssh/authorized_keys && grep -H . *; echo ==
        stat -c '%U %a %n' /srv/people/home/* /srv/people/archive /srv/people/accounts.json \
            /etc/sudoers.d/50-hangar-people /etc/ssh/authorized_keys/* 2>/dev/null; echo ==
        people show; echo ==
        people look; echo ==
        systemctl is-enabled hangar-people.timer; systemctl is-active hangar-people.timer
    """)
    passwd, shadow, group, keys, files, show, todo, timer = (
        part.strip().splitlines() for part in told.split("==\n")
    )
    return {
        "accounts": {line.split(":")[0]: line.split(":") for line in passwd},
        "passwords": {line.split(":")[0]: line.split(":")[1] for line in shadow},
        "groups": {line.split(":")[0]: set(line.split(":")[3].split(",")) for line in group},
        "keys": [tuple(line.split(":", 1)) for line in keys if ":#" not in line],
        "files": {line.split(maxsplit=2)[2]: line.split(maxsplit=2)[:2] for line in files},
        "show": json.loads(show[0]),
        "todo": todo,
        "timer": timer,
    }


def is_out(person, host):
    today = host.check_output("date -u +%F")
    return bool(person["expires"]) and person["expires"] <= today


def test_the_people_on_the_machine_are_exactly_those_of_the_settings(machine, people):
    there = {name for name, line in machine["accounts"].items() if int(line[2]) in UIDS}
    assert there == set(people)
    assert machine["todo"] == []


def test_a_key_that_is_not_in_the_settings_is_not_on_the_machine(host, machine, people, options):
    """Each key of a person is in the settings, and whoever's day has come has none"""
    wanted = {
        (name, f'expiry-time="{person["expires"].replace("-", "")}Z" {key}' if person["expires"] else key)
        for name, person in people.items()
        for key in person["keys"]
        if not is_out(person, host)
    }
    others = options["people_other_accounts"]
    assert {(name, line) for name, line in machine["keys"] if name not in (others or ())} == wanted
    assert {path: rights for path, rights in machine["files"].items() if "authorized_keys" in path} == {
        f"/etc/ssh/authorized_keys/{name}": ["root", "644"] for name, _ in machine["keys"]
    }


def test_each_person_has_the_groups_of_their_role_and_no_other(machine, people):
    for name, person in people.items():
        assert {group for group, members in machine["groups"].items() if name in members} == GROUPS[
            person["role"]
        ]


def test_nobody_has_a_password(machine, people):
    assert {machine["passwords"][name] for name in people} <= {"*"}


def test_a_home_is_its_owners_alone_and_outlives_the_machine(machine, people):
    for name in people:
        assert machine["accounts"][name][5] == f"/srv/people/home/{name}"
        assert machine["files"][f"/srv/people/home/{name}"][0] == name
        assert int(machine["files"][f"/srv/people/home/{name}"][1], 8) & 0o007 == 0
    assert machine["files"]["/srv/people/archive"] == ["root", "700"]
    # The book is begun with the first person.
    assert machine["files"].get("/srv/people/accounts.json", ["root", "600"]) == ["root", "600"]


def test_a_number_belongs_to_one_person_for_ever(machine):
    numbers = [one["uid"] for one in machine["show"]]
    assert len(numbers) == len(set(numbers))
    for one in machine["show"]:
        if one["account"]:
            assert machine["accounts"][one["name"]][2] == str(one["uid"])


@pytest.fixture(scope="module")
def may(host, people):
    """Whether sudo would let a person do it: (name, as whom, command) → bool."""
    asked = [(name, user, command) for name in people for user, command in [*LOOK, *WORK, *NEVER]]
    script = "\n".join(
        f"sudo -n -l -U {name} -u {user} {command} >/dev/null 2>&1; echo $?" for name, user, command in asked
    )
    answers = host.check_output(script or "true").split()
    return {question: answer == "0" for question, answer in zip(asked, answers, strict=True)}


def test_a_developer_may_use_the_commands_and_nothing_else(may, people):
    """A developer may list, trigger, pause, restart Airflow and read logs, and become nobody"""
    for name in (name for name, person in people.items() if person["role"] == "developer"):
        assert all(may[name, user, command] for user, command in [*LOOK, *WORK])
        assert not [command for user, command in NEVER if may[name, user, command]]


def test_a_viewer_only_looks(may, people):
    for name in (name for name, person in people.items() if person["role"] == "viewer"):
        assert all(may[name, user, command] for user, command in LOOK)
        assert not [command for user, command in [*WORK, *NEVER] if may[name, user, command]]


def test_an_admin_may_do_everything(may, people):
    for name in (name for name, person in people.items() if person["role"] == "admin"):
        assert may[name, "root", "/bin/sh"]


def test_the_commands_take_no_word_that_could_mean_something_else(host):
    """The commands take no option, no blank and no sign that a shell knows"""
    script = "\n".join(f"runuser -u nobody -- {AIRFLOW} {words}" + " 2>&1 | head -1" for words in BAD_WORDS)
    answers = host.check_output(script).splitlines()
    assert answers == ["Airflow for people who are not its service user."] * len(BAD_WORDS)
    bad = host.check_output("runuser -u nobody -- /usr/local/bin/hangar-logs '../x' 2>&1 | head -1")
    assert bad == "What the machine's services have logged."


def test_the_rules_are_roots_and_sudo_reads_them(host, machine):
    assert machine["files"]["/etc/sudoers.d/50-hangar-people"] == ["root", "440"]
    assert host.run("visudo -c").rc == 0


def test_what_somebody_types_into_a_command_is_not_recorded(host):
    """Sudo records which command, never what is typed or sent into it: that may be a secret"""
    asked = "grep -rhE '^[^#]*(log_input|log_stdin|log_ttyin|LOG_INPUT)' /etc/sudoers /etc/sudoers.d"
    assert host.run(asked).rc == 1


def test_nobody_stays_past_their_day(host, machine, people):
    """The machine itself looks every hour whose day has come"""
    assert machine["timer"] == ["enabled", "active"]
    gone = [name for name, person in people.items() if is_out(person, host)]
    assert not [
        one["name"] for one in machine["show"] if one["name"] in gone and (one["keys"] or one["sessions"])
    ]
