"""The program airflow-accounts: what it asks of Airflow's database, and who waits where that says no."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hangar_bounds
import pytest

from tests.templates.render import render

DATABASE = """#!{python}
import sys
sql = sys.stdin.read()
if "json_object_agg" in sql:
    with open({book!r} + ".asked", "w") as asked:
        asked.write(sql)
    print({found!r})
    sys.exit(0)
for taken in {taken!r}:
    if f"'{{taken}}', true" in sql:
        sys.exit(sys.stderr.write("ERROR:  duplicate key value violates unique constraint") and 3)
with open({book!r}, "a") as book:
    book.write(sql + "\\n--\\n")
"""
"""Plays the database: it has these accounts, and refuses an account with an address that another has."""


def surroundings(place: Path) -> dict[str, str]:
    """With the programs of `place`, and what the interlock installs for all programs."""
    return {
        **os.environ,
        "PATH": f"{place}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(hangar_bounds.__file__).parent),
    }


class Airflow:
    def __init__(self, place: Path) -> None:
        self.place = place
        self.found: dict[str, object] = {}
        self.taken: list[str] = []
        (place / "passwords").mkdir()
        self.own = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()

    def describe(self, **emails: str) -> None:
        """These people are to be there; everybody of the ledger was at some time."""
        people = [
            {"name": name, "airflow": "Op", "email": email, "expires": ""} for name, email in emails.items()
        ]
        (self.place / "people.json").write_text(json.dumps({"people": people}))
        ledger = {name: {} for name in [*emails, *self.found]}
        (self.place / "accounts.json").write_text(json.dumps(ledger))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        database = self.place / "as-service"
        database.write_text(
            DATABASE.format(
                python=sys.executable,
                found=json.dumps(self.found),
                taken=self.taken,
                book=str(self.place / "sql"),
            )
        )
        database.chmod(0o755)
        text = render("airflow", "/usr/local/sbin/airflow-accounts")
        text = text.replace("/srv/people/", f"{self.place}/").replace("/etc/hangar/", f"{self.place}/")
        # Nobody of these has an account here.
        text = text.replace("grp.getgrnam(name)", f"grp.getgrnam({self.own!r})")
        text = text.replace("os.fchown(descriptor, 0,", "os.fchown(descriptor, -1,")
        return subprocess.run(
            [sys.executable, "-c", text, *words], capture_output=True, text=True,
            env=surroundings(self.place),
        )  # fmt: skip

    @property
    def transactions(self) -> list[str]:
        """What the database took."""
        book = self.place / "sql"
        return book.read_text().split("\n--\n")[:-1] if book.exists() else []


@pytest.fixture
def airflow(tmp_path: Path) -> Airflow:
    return Airflow(tmp_path)


def test_all_that_is_to_be_done_is_one_transaction(airflow: Airflow) -> None:
    airflow.found = {"zoe": {"email": "zoe@example.org", "active": True, "roles": ["Op"]}}
    airflow.describe(ana="ana@example.org", ben="ben@example.org")
    (airflow.place / "passwords/zoe").touch()
    done = airflow.run("apply")
    assert (done.returncode, done.stdout, done.stderr) == (0, "zoe: remove\nana: make\nben: make\n", "")
    (sql,) = airflow.transactions
    assert "delete from ab_user where username = 'zoe';" in sql
    assert sorted(path.name for path in (airflow.place / "passwords").iterdir()) == ["ana", "ben"]


def test_an_address_that_is_taken_keeps_nobody_in_and_nobody_else_out(airflow: Airflow) -> None:
    """Somebody made an account with that address in Airflow itself: whoever left has none all the same."""
    airflow.found = {"zoe": {"email": "zoe@example.org", "active": True, "roles": ["Op"]}}
    airflow.taken = ["ana@example.org"]
    airflow.describe(ana="ana@example.org", ben="ben@example.org")
    (airflow.place / "passwords/zoe").touch()
    done = airflow.run("apply")
    assert (done.returncode, done.stdout, done.stderr) == (
        1, "zoe: remove\nben: make\n",
        "airflow-accounts: ana: ERROR:  duplicate key value violates unique constraint\n",
    )  # fmt: skip
    removed, made = airflow.transactions
    assert "delete from ab_user where username = 'zoe';" in removed
    assert "'ben@example.org'" in made
    assert not (airflow.place / "passwords/zoe").exists()


def test_one_person_reads_a_password_and_the_database_gets_what_proves_it(airflow: Airflow) -> None:
    airflow.describe(ana="ana@example.org")
    place = airflow.place / "passwords/ana"
    given = []
    for words in (["apply"], ["password", "ana"]):
        done = airflow.run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert place.stat().st_mode & 0o7777 == 0o440
        password = place.read_text().strip()
        sql = airflow.transactions[-1]
        assert password not in f"{sql}{done.stdout}"
        (kept,) = re.findall(r"set password = '(pbkdf2:sha256:600000\$[^']+)'", sql)
        _, salt, digest = kept.split("$")
        assert hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 600_000).hex() == digest
        given.append(password)
    assert len({*given}) == 2
    assert min(map(len, given)) >= 24
    refused = airflow.run("password", "zoe")
    assert (refused.returncode, refused.stderr) == (
        1,
        "airflow-accounts: zoe is to have no account in Airflow\n",
    )
    assert not place.with_name("zoe").exists()


def test_whose_day_has_come_and_who_is_to_have_none_are_taken_out(airflow: Airflow) -> None:
    """But not an account that somebody made in Airflow itself."""
    today = datetime.now(UTC).date()
    there = {"active": True, "roles": ["Op"]}
    names = ("ana", "ben", "cy", "dot", "boss")
    airflow.found = {name: {"email": f"{name}@localhost", **there} for name in names}
    airflow.describe()
    people = [
        {"name": "ana", "airflow": "Op", "email": None, "expires": str(today)},
        {"name": "ben", "airflow": "Op", "email": None, "expires": str(today + timedelta(days=2))},
        {"name": "cy", "airflow": "none", "email": None, "expires": ""},
    ]
    (airflow.place / "people.json").write_text(json.dumps({"people": people}))
    (airflow.place / "accounts.json").write_text(json.dumps({name: {} for name in names[:4]}))
    for name in names:
        (airflow.place / "passwords" / name).touch()
    done = airflow.run("apply")
    assert (done.returncode, done.stdout) == (0, "ana: remove\ncy: remove\ndot: remove\n")
    assert sorted(one.name for one in (airflow.place / "passwords").iterdir()) == ["ben", "boss"]


def test_an_account_gets_one_role_and_no_other_and_what_it_holds_is_no_sql(airflow: Airflow) -> None:
    airflow.found = {"ana": {"email": "ana@example.org", "active": False, "roles": ["Admin", "Op"]}}
    airflow.describe(ana="o'); drop table ab_user; --@example.org")
    (airflow.place / "passwords/ana").touch()
    done = airflow.run("apply")
    assert (done.returncode, done.stdout) == (0, "ana: is Op\nana: put right\n")
    (sql,) = airflow.transactions
    user = "(select id from ab_user where username = 'ana')"
    assert f"delete from ab_user_role where user_id = {user};" in sql
    assert f"{user}, id from ab_role where name = 'Op';" in sql
    assert f"select 1 / count(*) from ab_user_role where user_id = {user} having count(*) <> 1;" in sql
    assert (
        "update ab_user set email = 'o''); drop table ab_user; --@example.org', active = true where username = 'ana';"
        in sql
    )


def test_a_look_changes_nothing(airflow: Airflow) -> None:
    airflow.describe(ana="ana@example.org")
    done = airflow.run("look")
    assert (done.returncode, done.stdout) == (0, "ana: make\n")
    assert airflow.transactions == []
    assert list((airflow.place / "passwords").iterdir()) == []


def test_a_lock_in_airflows_database_ends_the_question(tmp_path: Path) -> None:
    """Whoever runs DAGs can lock its tables for as long as they like."""
    asked = tmp_path / "asked"
    (tmp_path / "as-service").write_text(f"#!/bin/sh\ncat > {asked}\nexec sleep 30\n")
    (tmp_path / "as-service").chmod(0o755)
    (tmp_path / "accounts.json").write_text('{"ana": {}}')
    text = render("airflow", "/usr/local/sbin/airflow-accounts")
    text = text.replace("PATIENCE = 60\n", "PATIENCE = 1\n").replace("/srv/people/", f"{tmp_path}/")
    text = text.replace("/etc/hangar/people.json", f"{tmp_path}/none")
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", text, "apply"],
        env=surroundings(tmp_path),
        capture_output=True,
        text=True,
    )
    assert time.monotonic() - begun < 15
    assert (done.returncode, done.stderr) == (
        1, "airflow-accounts: Airflow's database does not answer within 1 s; the next call tries again\n",
    )  # fmt: skip
    assert asked.read_text().startswith("set lock_timeout = '20s'; set statement_timeout = '40s';\n")


def test_nobody_is_asked_about_but_those_who_are_known(airflow: Airflow) -> None:
    """Whoever writes DAGs may fill Airflow's tables, and the memory is root's."""
    airflow.found = {"zoe": {"email": "zoe@example.org", "active": True, "roles": ["Op"]}}
    airflow.describe(ana="ana@example.org")
    assert airflow.run("look").returncode == 0
    asked = (airflow.place / "sql.asked").read_text()
    assert "from ab_user u where u.username in ('ana', 'zoe');" in asked
    assert "limit 9" in asked


def test_an_answer_without_end_is_not_taken_in(airflow: Airflow) -> None:
    """Whoever runs DAGs can take the place of the database, and the memory is root's."""
    airflow.describe(ana="ana@example.org")
    text = render("airflow", "/usr/local/sbin/airflow-accounts")
    text = text.replace("/srv/people/", f"{airflow.place}/").replace("/etc/hangar/", f"{airflow.place}/")
    text = text.replace("grp.getgrnam(name)", f"grp.getgrnam({airflow.own!r})")
    (airflow.place / "as-service").write_text("#!/bin/sh\nexec yes\n")
    (airflow.place / "as-service").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", text, "look"], capture_output=True, text=True, env=surroundings(airflow.place)
    )
    assert (done.returncode, done.stderr) == (
        1, "airflow-accounts: Airflow's database was given up: it says more than 64 MiB\n",
    )  # fmt: skip
