import os
import subprocess
from pathlib import Path

import pytest

from tests.templates.render import render, settings, value

ACCOUNTS = [
    {"name": "airflow", "uid": 2001, "subids": 200000},
    {"name": "etl", "uid": 2007, "subids": 700000},
]


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_each_service_gets_its_number_and_no_shell() -> None:
    text = render("service_users", "/etc/sysusers.d/hangar.conf", service_users_accounts=ACCOUNTS)
    assert lines(text) == [
        "g hangar-admins -",
        "g hangar-people 2100",
        "g dags 2101",
        'u airflow 2001 "Service airflow" /srv/airflow/home /usr/sbin/nologin',
        'u etl 2007 "Service etl" /srv/etl/home /usr/sbin/nologin',
    ]


@pytest.mark.parametrize("database", ["/etc/subuid", "/etc/subgid"])
def test_each_service_gets_its_range_and_nobody_else_one(database: str) -> None:
    text = render("service_users", database, service_users_accounts=ACCOUNTS)
    assert lines(text) == ["airflow:200000:65536", "etl:700000:65536"]


def test_each_services_user_manager_starts_again_and_nobody_elses() -> None:
    """systemd's own unit has no Restart, and what Docker and the services run dies with it."""
    written = value("service_users", "__service_users_files", service_users_accounts=ACCOUNTS)
    assert set(written) == {
        f"/etc/systemd/system/user@{uid}.service.d/50-hangar.conf" for uid in (2001, 2007)
    }
    (name,) = {one["template"] for one in written.values()}
    unit = lines(render("service_users", f"/{name.removesuffix('.j2')}"))
    assert "Restart=always" in unit
    assert "StartLimitIntervalSec=0" in unit


LEFT_OPEN = {"hardening_accounts_off": ["accounts.umask"]}


def test_people_have_the_umask_of_the_settings_unless_it_is_left_open() -> None:
    """Left open, it is Debian's again, also on a machine that had ours."""
    session, defaults = "/etc/pam.d/common-session", "/etc/login.defs"
    line = "session optional                      pam_umask.so"
    assert f"{line} umask=0027" in lines(render("hardening_accounts", session))
    assert "UMASK            027" in lines(render("hardening_accounts", defaults))
    assert line in lines(render("hardening_accounts", session, **LEFT_OPEN))
    assert "UMASK            022" in lines(render("hardening_accounts", defaults, **LEFT_OPEN))


@pytest.mark.parametrize("control", ["accounts.sudo", "accounts.umask"])
def test_what_root_makes_stays_readable_whatever_is_left_open(control: str) -> None:
    """sudo would add people's umask to its own, and services could not read what Ansible writes."""
    path = "/etc/sudoers.d/05-hangar-umask"
    left_open = {"hardening_accounts_off": [control]}
    assert "Defaults umask_override, umask=0022" in lines(render("hardening_accounts", path, **left_open))
    assert path not in value("hardening_accounts", "__hardening_accounts_skip", **left_open)


def found(*said: str) -> dict[str, object]:
    return {"__hardening_accounts_found": {"stdout_lines": list(said)}}


def test_a_system_account_loses_its_shell_and_the_operators_own_does_not() -> None:
    """Nobody proves a login after that: the operator would be shut out for good."""
    said = found("shell games", "shell deploy", "open guest", "unlocked root")
    locked = [["passwd", "--lock", "guest"], ["passwd", "--lock", "root"]]
    games = ["usermod", "--shell", "/usr/sbin/nologin", "games"]
    deploy = ["usermod", "--shell", "/usr/sbin/nologin", "deploy"]
    mends = "__hardening_accounts_mends"
    assert value("hardening_accounts", mends, **said) == [games, deploy, *locked]
    assert value("hardening_accounts", mends, ansible_user="deploy", **said) == [games, *locked]


@pytest.mark.parametrize(
    ("caller", "named"), [("", "shell games\nshell deploy\n"), ("deploy", "shell games\n")]
)
def test_the_account_that_sudo_was_called_by_is_not_named(tmp_path: Path, caller: str, named: str) -> None:
    """Where no inventory says who logs in, a setting of ssh's may."""
    (tmp_path / "shadow").write_text("root:*:1::::::\n")
    (tmp_path / "passwd").write_text(
        "root:x:0:0::/root:/bin/bash\nsync:x:4:65534::/bin:/bin/sync\ngames:x:5:60::/usr/games:/bin/sh\n"
        "deploy:x:990:990::/home/deploy:/bin/bash\nmail:x:8:8::/var/mail:/usr/sbin/nologin\nada:x:1000:1000::/:/bin/sh\n"
    )
    script = str(value("hardening_accounts", "__hardening_accounts_look")).replace("/etc/", f"{tmp_path}/")
    done = subprocess.run(
        ["sh", "-c", script], env={"PATH": os.defpath, "SUDO_USER": caller}, capture_output=True, text=True
    )
    assert done.stdout == named


def test_a_second_root_stops_nothing_where_it_is_left_open() -> None:
    said, roots = found("root toor"), "__hardening_accounts_roots"
    assert value("hardening_accounts", roots, **said) == ["toor"]
    assert value("hardening_accounts", roots, hardening_accounts_off=["accounts.one_root"], **said) == []


def test_sudo_writes_down_who_ran_what_and_never_what_they_typed() -> None:
    """Its input is Ansible's programs and somebody's secrets"""
    written = lines(render("hardening_accounts", "/etc/sudoers.d/10-hangar-defaults"))
    assert {
        "Defaults syslog=authpriv",
        "Defaults logfile=/var/log/sudo.log",
        "Defaults log_allowed, log_denied",
    } <= set(written)
    for path in ("/etc/sudoers.d/10-hangar-defaults", "/etc/sudoers.d/50-hangar-people"):
        text = render("people" if "people" in path else "hardening_accounts", path).lower()
        for word in ("log_input", "log_output", "log_stdin", "log_ttyin"):
            assert word not in text, path


def test_what_a_password_has_to_be_stands_in_the_file_that_is_read_last() -> None:
    """On a host that was there before, its administrator's own pwquality.conf made passwords of 8 characters good."""
    written = settings(render("hardening_accounts", "/etc/security/pwquality.conf"))
    assert int(written["minlen"]) == value("hardening_accounts", "hardening_accounts_password_length")
    assert {written["dictcheck"], written["usercheck"], written["enforcing"]} == {"1"}
    role = Path(__file__).parents[2] / "roles/hardening_accounts/templates/etc/security"
    assert [path.name for path in role.rglob("*.j2")] == ["pwquality.conf.j2"]


def test_sudo_takes_no_command_from_the_folder_that_its_caller_stands_in() -> None:
    """Whatever the path of the call is: a folder of somebody else's may hold a program of that name."""
    written = lines(render("hardening_accounts", "/etc/sudoers.d/10-hangar-defaults"))
    assert "Defaults ignore_dot" in written
    (path,) = [line for line in written if "secure_path" in line]
    assert all(folder.startswith("/") for folder in path.split('"')[1].split(":"))


def test_the_log_of_sudo_is_turned_over() -> None:
    text = render("hardening_accounts", "/etc/logrotate.d/hangar-sudo")
    assert "/var/log/sudo.log {" in lines(text)
    assert {"    maxsize 10M", "    rotate 8", "    create 0600 root root"} <= set(lines(text))


def test_what_is_left_open_brings_no_packages() -> None:
    """libpam-pwquality would write itself into Debian's own PAM."""
    said, missing = found("package cracklib-runtime installed"), "__hardening_accounts_missing"
    # Which comes first is not said: Ansible takes a set.
    assert sorted(value("hardening_accounts", missing, **said)) == ["libpam-pwquality", "logrotate"]
    for control, left in {"accounts.pam": ["logrotate"], "accounts.sudo": ["libpam-pwquality"]}.items():
        assert value("hardening_accounts", missing, hardening_accounts_off=[control], **said) == left


def test_folders_of_crons_are_there_before_a_package_brings_them() -> None:
    """An audit that installed Lynis, and e2fsprogs with it, opened /etc/cron.d and found that itself."""
    closed = {"owner": "root", "group": "root", "mode": "0700"}
    names = ("d", "hourly", "daily", "weekly", "monthly", "yearly")
    made = "__hardening_system_directories"
    assert value("hardening_system", made) == {f"/etc/cron.{name}": closed for name in names}
    wider = value("hardening_system", made, hardening_system_rights={"/etc/cron.d": "root:adm 0750"})
    assert wider["/etc/cron.d"] == {"owner": "root", "group": "adm", "mode": "0750"}
    assert value("hardening_system", made, hardening_system_off=["system.rights"]) == {}


def test_who_may_use_cron_and_at_is_read_by_their_own_groups_and_by_no_others() -> None:
    """Tried with Debian 13's programs. Of root's group, `at` reads Debian's at.deny in its place, which names few."""
    written = value("hardening_system", "__hardening_system_tree")
    assert written["/etc/cron.allow"] == {"group": "crontab", "mode": "0640"}
    assert written["/etc/at.allow"] == {"group": "daemon", "mode": "0640"}
    # Where there is no cron, its package has not made the group yet, and a file's group has to be there.
    assert "g crontab -" in lines(render("base", "/etc/sysusers.d/hangar-cron.conf"))


def test_a_new_log_of_failed_logins_has_the_rights_that_are_wanted_of_it() -> None:
    """logrotate's own settings open it to a group, which the next verification would find."""
    wanted = value("hardening_system", "__hardening_system_files")["/var/log/btmp"]
    user, mode = wanted.split()
    text = render("hardening_system", "/etc/logrotate.d/btmp")
    assert f"    create {mode} {user.replace(':', ' ')}" in lines(text)
