"""What passwords, sudo and accounts allow; tried with an account that is made for it and removed again."""

import re
import secrets

import pytest

UNITS = ("ssh.service",)

GUEST = "hangar-contract"
USERADD = "useradd --key SUB_UID_COUNT=0 --key SUB_GID_COUNT=0 --key UID_MIN=59000 --key UID_MAX=59999"
"""Not the next number after somebody's: that would be one of the people's, whom their contract counts meanwhile."""
"""Without sub-ids, whose tables are the services'."""

STRONG = f"Corvid.umbra7-{secrets.token_urlsafe(6)}"
"""Another one each time: former ones are remembered, even of an account that is gone."""


TURN = """
set -e
folder=$(mktemp -d)
sed "s#/var/log/sudo.log#$folder/sudo.log#" /etc/logrotate.d/hangar-sudo > "$folder/settings"
for n in $(seq 12); do
    truncate --size=11M "$folder/sudo.log"
    logrotate --state "$folder/state" "$folder/settings"
done
stat --format '%a %s' "$folder/sudo.log"
ls "$folder" | grep --count '^sudo.log'
rm -r "$folder"
"""
"""A log that grows beyond its bounds again and again."""


@pytest.fixture(scope="module")
def guest(host):
    """An account with a good password, for the time of the tests."""
    host.run(f"userdel --remove {GUEST}")
    made = f"{USERADD} --create-home --shell /bin/sh {GUEST} && echo '{GUEST}:{STRONG}' | chpasswd"
    host.check_output(made)
    yield GUEST
    host.check_output(
        f"faillock --user {GUEST} --reset; userdel --remove {GUEST} 2>/dev/null;"
        f" sed -i '/^{GUEST}:/d' /etc/security/opasswd"
    )


def attempt_command(password, user):
    """A command that asks PAM's own client library whether the stack takes this password; it prints 0 if so."""
    script = f"""
import ctypes, ctypes.util
pam = ctypes.CDLL("libpam.so.0"); libc = ctypes.CDLL(None)
class Message(ctypes.Structure): _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]
class Answer(ctypes.Structure): _fields_ = [("text", ctypes.c_void_p), ("code", ctypes.c_int)]
Talk = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.POINTER(Message)),
                        ctypes.POINTER(ctypes.POINTER(Answer)), ctypes.c_void_p)
class Conversation(ctypes.Structure): _fields_ = [("talk", Talk), ("data", ctypes.c_void_p)]
libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
def talk(count, messages, answers, data):
    answers[0] = ctypes.cast(libc.calloc(count, ctypes.sizeof(Answer)), ctypes.POINTER(Answer))
    for number in range(count): answers[0][number].text = libc.strdup({password!r}.encode())
    return 0
handle, spoken = ctypes.c_void_p(), Conversation(Talk(talk), None)
pam.pam_start(b"other", {user!r}.encode(), ctypes.byref(spoken), ctypes.byref(handle))
# 0x8000: say nothing. As programs do, the account is judged only when the password was right.
print(pam.pam_authenticate(handle, 0x8000) or pam.pam_acct_mgmt(handle, 0x8000))
"""
    quoted = script.replace("'", "'\\''")
    return f"python3 -c '{quoted}'"


def guess(host, user, times):
    """What so many wrong passwords at once are answered: each by itself is made to wait for seconds."""
    wrong = attempt_command("not.the-Right1", user)
    told = host.check_output(f"for n in $(seq {times}); do {wrong} & done; wait").split()
    assert len(told) == times
    return told


def log_in(host, password):
    return host.check_output(attempt_command(password, GUEST)) == "0"


def test_a_weak_password_is_refused_even_for_root(host, guest, options):
    """A weak password is refused, even when root sets it"""
    # Long enough but for one character: what is asked of the rest it has.
    short = STRONG[: options["hardening_accounts_password_length"] - 1]
    for weak in (short, "aaaaaaaaaaaaaaaaaaaa", f"{guest}1234567"):
        assert host.run(f"echo '{guest}:{weak}' | chpasswd").rc != 0, weak
    assert host.run(f"echo '{guest}:{STRONG}-new' | chpasswd").rc == 0
    assert host.run(f"echo '{guest}:{STRONG}' | chpasswd").rc != 0, "a former password was taken again"
    host.check_output(f"echo '{guest}:{STRONG}-third' | chpasswd")


def test_a_password_cannot_be_guessed_by_trying(host, guest, options):
    """After a few wrong passwords an account takes none for a while, not even the right one"""
    right = f"{STRONG}-third"
    assert log_in(host, right)
    assert "0" not in guess(host, GUEST, options["hardening_accounts_failed_logins"])
    assert not log_in(host, right)
    host.check_output(f"faillock --user {guest} --reset")
    assert log_in(host, right)


def test_a_key_opens_an_account_whose_password_is_barred(host, client, options):
    """Wrong passwords do not bar the operator's key"""
    tries = options["hardening_accounts_failed_logins"] + 1
    assert "0" not in guess(host, client.settings["user"], tries)
    assert client.ssh(command="sudo --non-interactive true").returncode == 0


def test_no_account_is_without_a_password(host):
    told = host.check_output("awk -F: '$2 == \"\" {print $1}' /etc/shadow")
    assert told == ""
    # Where everybody can read, there is none.
    assert host.check_output("awk -F: '$2 != \"x\" {print $1}' /etc/passwd") == ""


def test_an_empty_password_opens_nothing(host, guest):
    """An account whose password somebody empties lets nobody in"""
    host.check_output(f"passwd --delete {guest}")
    try:
        assert not log_in(host, "")
    finally:
        host.check_output(f"passwd --lock {guest}")


def test_files_that_people_make_are_not_for_everybody(client):
    made = client.ssh(
        command='file=$(mktemp -d)/new; touch "$file"; stat -c %a "$file"; rm -r "${file%/new}"'
    )
    assert made.returncode == 0
    assert int(made.stdout, 8) & 0o007 == 0


def test_what_root_makes_is_readable_where_it_should_be(client):
    """What root makes through sudo does not depend on who became root"""
    script = (
        'sudo sh -c \'folder=$(mktemp -d); touch "$folder/new"; stat -c %a "$folder/new"; rm -r "$folder"\''
    )
    assert client.ssh(command=script).stdout.strip() == "644"


def test_what_is_done_as_root_is_written_down(host, client):
    """What is done as root is written down, with who did it, where others cannot read it"""
    mark = f"hangar-contract-{secrets.token_hex(4)}"
    assert client.ssh(command=f"sudo true {mark}").returncode == 0
    done = rf"\b{client.settings['user']} :.*COMMAND=\S*true {mark}"
    # Not searched on the machine: sudo would write the search down too, with what it searches for.
    written = host.check_output("tail --lines=500 /var/log/sudo.log")
    assert re.search(done, re.sub(r"\n +", " ", written))
    assert host.file("/var/log/sudo.log").mode & 0o077 == 0
    assert re.search(
        done,
        host.check_output("journalctl --quiet --since=-5min --identifier=sudo --output=short --no-pager"),
    )


def test_what_sudo_writes_down_does_not_fill_the_disk(host):
    """What sudo writes down is turned over before it fills the disk, and stays closed to others"""
    told = host.check_output(TURN).splitlines()
    # The one that is written, and eight before it.
    assert told == ["600 0", "9"]
    assert host.run("systemctl is-active logrotate.timer").stdout.strip() == "active"
    # Of the last time, if there was one.
    assert host.check_output("systemctl show --property Result --value logrotate.service") == "success"


def test_sudo_keeps_its_own_rules(host, options):
    told = host.check_output("sudo --list --other-user=root")
    for rule in (
        "use_pty",
        "env_reset",
        "ignore_dot",
        "secure_path=",
        f"timestamp_timeout={options['hardening_accounts_sudo_minutes']}",
    ):
        assert rule in told, rule
    assert host.run("visudo -c").rc == 0


def test_no_system_account_can_be_logged_in_to(host, client):
    """No system account can be logged in to, the operator's own apart"""
    told = host.check_output(
        "awk -F: '$3 > 0 && $3 < 1000 && $1 != \"sync\" && $7 !~ /(nologin|false)$/ {print $1}' /etc/passwd"
    )
    assert set(told.split()) <= {client.settings["user"]}


def test_no_password_opens_root(host):
    assert host.check_output("passwd --status root").split()[1] == "L"


def test_there_is_one_root(host):
    assert host.check_output("awk -F: '$3 == 0 {print $1}' /etc/passwd") == "root"
    assert host.check_output("awk -F: '$4 == 0 {print $1}' /etc/passwd") == "root"
    assert host.check_output("awk -F: '$3 == 0 {print $1}' /etc/group") == "root"


def test_no_two_accounts_or_groups_are_the_same(host):
    """No two accounts or groups share a name or a number, and nobody belongs to the group that reads passwords"""
    passwd = [line.split(":") for line in host.check_output("cat /etc/passwd").splitlines()]
    group = [line.split(":") for line in host.check_output("cat /etc/group").splitlines()]
    for file in (passwd, group):
        for field in (0, 2):
            found = [line[field] for line in file]
            assert sorted(set(found)) == sorted(found)
    numbers = {line[2]: line for line in group}
    assert {line[3] for line in passwd} <= set(numbers)
    (shadow,) = (line for line in group if line[0] == "shadow")
    assert shadow[3] == ""
    assert [line[0] for line in passwd if line[3] == shadow[2]] == []


def test_a_home_is_closed_to_others(host):
    """A home belongs to whom it is for, and others neither read nor write it"""
    # Whoever can log in: people and operators. The homes of services stand in their own contract.
    people = "$3 >= 1000 && $3 < 60000 && $7 !~ /(nologin|false)$/"
    told = host.check_output(f"awk -F: '{people} {{print $1, $6}}' /etc/passwd").splitlines()
    for name, home in (line.split() for line in told):
        owner, mode = host.check_output(f"stat --format '%U %a' {home}").split()
        assert owner == name, home
        assert int(mode, 8) & 0o027 == 0, home


def test_a_new_account_gets_a_closed_home_and_a_strong_hash(host, guest):
    assert host.file(f"/home/{guest}").mode == 0o700
    host.check_output(f"echo '{guest}:{STRONG}-hashed' | chpasswd")
    assert host.check_output(f"getent shadow {guest} | cut -d: -f2 | tr -d '!'").startswith("$y$")
