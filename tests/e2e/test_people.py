"""People come, work within their roles, share a folder, and leave: with real keys, real logins and a real clock."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pace import allowed

from . import plain
from .conftest import Checkout

ADDED_WITHIN = 30.0
"""Seconds. Alone on its computer a machine takes 5 to 8; the promise is 10, and CI shares its CPUs."""
GONE_WITHIN = 5.0

DAGS = "/srv/airflow/dags"


class Person:
    """Somebody with a key of their own, and what they can do on the machine."""

    def __init__(self, machine: Checkout, folder: Path, name: str) -> None:
        self.machine, self.name, self.key = machine, name, folder / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.key], check=True
        )

    def people(self, action: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = [
            "./provision.py",
            "people",
            action,
            self.name,
            self.machine.environment,
            *options,
            "--yes",
            "--json",
        ]
        done = subprocess.run(
            words,
            cwd=self.machine.path,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def argv(self, command: str) -> list[str]:
        where = self.machine.inventory()
        return [
            "ssh", "-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", f"UserKnownHostsFile={self.machine.state / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
            "-o", f"HostKeyAlias=hangar-{self.machine.environment}", "-p", str(where["ansible_port"]),
            f"{self.name}@{where['ansible_host']}", command,
        ]  # fmt: skip

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(command), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120
        )

    def can(self, command: str) -> bool:
        return self.run(command).returncode == 0


@pytest.fixture(scope="module")
def people(machine: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Person]]:
    folder = tmp_path_factory.mktemp("keys")
    found = {name: Person(machine, folder, name) for name in ("ana", "ben", "vic")}
    yield found
    for person in found.values():
        person.people("remove", check=False)


def add(person: Person, role: str) -> float:
    start = time.monotonic()
    person.people("add", "--role", role, "--key", f"{person.key}.pub")
    return time.monotonic() - start


def test_somebody_new_is_in_within_seconds(people: dict[str, Person]) -> None:
    assert not people["ana"].can("true")
    seconds = [add(people["ana"], "developer"), add(people["ben"], "developer"), add(people["vic"], "viewer")]
    assert all(person.can("true") for person in people.values())
    assert min(seconds) < allowed(ADDED_WITHIN), seconds


def test_a_new_laptop_takes_the_place_of_the_old_one(people: dict[str, Person], tmp_path: Path) -> None:
    vic, new = people["vic"], tmp_path / "new"
    assert vic.can("true")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", new], check=True)
    vic.people("key", "--key", f"{new}.pub", "--remove", f"{vic.key}.pub")
    assert not vic.can("true")
    vic.key = new
    assert vic.can("true")


def test_a_developer_does_their_work_and_nothing_else(machine: Checkout, people: dict[str, Person]) -> None:
    ana = people["ana"]
    assert "scheduler: Up" in ana.run("hangar-airflow state").stdout
    # A secret that a program let slip is shown to nobody.
    machine.ssh("sudo sh -c '(cat /srv/airflow/secrets/fernet_key; echo; echo slipped) | as-service airflow "
                "docker exec --interactive airflow-scheduler-1 sh -c \"cat > /proc/1/fd/1\"'")  # fmt: skip
    secret = machine.ssh("sudo cat /srv/airflow/secrets/fernet_key").stdout.strip()
    for reader in ("hangar-logs airflow 200", "hangar-airflow logs scheduler 200"):
        said = ana.run(reader).stdout
        assert "slipped" in said, reader
        assert "***" in said, reader
        assert secret not in said, reader
    assert ana.can(f"touch {DAGS}/.ana")
    for command in (
        "sudo -n true", "sudo -n -u airflow true", "sudo -n -u airflow sh", "cat /srv/airflow/secrets/fernet_key",
        "ls /srv/people/home/ben", "cat /srv/people/passwords/ben", "sudo -n /usr/local/sbin/people show",
        "hangar-airflow trigger 'x; id'", "hangar-airflow 'connections export -'", "hangar-logs ../../etc/shadow",
        "sudo -n -u airflow /usr/local/bin/hangar-airflow list --help", "echo x >> /etc/ssh/authorized_keys/ana",
        "as-service airflow id", "docker ps", "su - ben -c true",
    ):  # fmt: skip
        assert not ana.can(command), command
    assert ana.run("ulimit -Hn; ulimit -c").stdout.split() == ["16384", "0"]
    said = machine.ssh("sudo journalctl --quiet --no-pager --since -10min _COMM=sudo").stdout
    assert "ana : " in said
    assert "USER=airflow ; COMMAND=/usr/local/bin/hangar-airflow state" in said


PAGES = ("airflow_port", "airbyte_port", "monitoring_prometheus_port")
OTHERS = ("warehouse_port", "monitoring_port")


@pytest.mark.parametrize("name", ["ana", "vic"])
def test_people_reach_the_pages_and_nothing_else_of_the_services(
    machine: Checkout, people: dict[str, Person], name: str
) -> None:
    """From a shell as from a forward: by its port a service is asked only by those whom it knows"""
    where = machine.inventory()
    pages, others = ([f"127.0.0.1/{where[port]}" for port in ports] for ports in (PAGES, OTHERS))
    tried = " ".join([*pages, *others, "169.254.169.254/80"])
    script = f'for at in {tried}; do timeout 5 bash -c ": < /dev/tcp/$at" 2>/dev/null && echo $at; done; true'
    assert people[name].run(script).stdout.split() == pages
    inside = "".join(f": < /dev/tcp/{at}; " for at in others)
    assert machine.ssh(f"sudo bash -c '{inside}'").returncode == 0  # they are there


def test_a_viewer_only_looks(people: dict[str, Person]) -> None:
    vic = people["vic"]
    assert "scheduler: Up" in vic.run("hangar-airflow state").stdout
    for command in (
        "hangar-airflow restart", "hangar-airflow trigger x", "hangar-logs airflow", f"ls {DAGS}", "sudo -n true"
    ):  # fmt: skip
        assert not vic.can(command), command


def token(person: Person, password: str, port: int) -> str:
    """What Airflow gives for the password that the person reads on the machine."""
    body = json.dumps({"username": person.name, "password": password})
    ask = f"curl -s -m 20 -H 'Content-Type: application/json' --data @- http://127.0.0.1:{port}/auth/token"
    done = subprocess.run(person.argv(ask), input=body, capture_output=True, text=True, timeout=120)
    return str(json.loads(done.stdout).get("access_token", ""))


def status(machine: Checkout, path: str, given: str, port: int) -> str:
    ask = f"curl -s -m 20 -o /dev/null -w '%{{http_code}}' -H @- http://127.0.0.1:{port}{path}"
    return subprocess.run(
        ["ssh", "-F", str(machine.state / "ssh_config"), f"hangar-{machine.environment}", ask],
        input=f"Authorization: Bearer {given}\n", capture_output=True, text=True, timeout=120,
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def tokens(machine: Checkout, people: dict[str, Person]) -> dict[str, str]:
    port = int(machine.inventory()["airflow_port"])
    found = {}
    for name, person in people.items():
        password = person.run(f"cat /srv/people/passwords/{name}").stdout.strip()
        assert password
        found[name] = token(person, password, port)
    return found


def test_each_has_their_role_in_airflow(machine: Checkout, tokens: dict[str, str]) -> None:
    port = int(machine.inventory()["airflow_port"])
    seen = {
        name: [
            status(machine, path, given, port)
            for path in ("/api/v2/dags", "/api/v2/pools", "/api/v2/connections")
        ]
        for name, given in tokens.items()
    }
    assert seen["ana"] == ["200", "200", "200"]
    assert seen["vic"][0] == "200"
    assert seen["vic"][2] == "403"


@pytest.mark.parametrize("place", [*plain.PLACES, "files that others can read"])
def test_a_persons_password_stands_nowhere_else(
    machine: Checkout, people: dict[str, Person], tokens: dict[str, str], place: str
) -> None:
    """After it was made, read and used."""
    passwords = {
        path: value
        for path, value in plain.values(machine).items()
        if path.startswith("/srv/people/passwords/")
    }
    assert {Path(path).name for path in passwords} >= set(people)
    if place in plain.PLACES:
        assert plain.standing_in(machine, place, passwords) == []
    else:
        assert set(plain.files_with(machine, passwords, "/srv/people")) == set(passwords)
        assert plain.files_with(machine, passwords, plain.OPEN, user="nobody") == []


# Everything a person does to a folder, with the strictest umask: plain files, an editor's rename, git, files from home.
WORK = f"""
set -e; umask 077; cd {DAGS}; rm -rf shared; mkdir shared; cd shared
echo 1 > plain.py; mkdir -p sub; echo 1 > sub/inner.py
new=$(mktemp -p .); echo 1 > "$new"; mv "$new" editor.py
mkdir -p ~/tree/deep; echo 1 > ~/tree/deep/moved.py; mv ~/tree tree; echo 1 > ~/one.py; mv ~/one.py one.py
git init -q repo; cd repo; echo 1 > dag.py; git add dag.py; git -c user.name=a -c user.email=a@b commit -qm one
"""
FILES = ("plain.py", "sub/inner.py", "editor.py", "tree/deep/moved.py", "one.py", "repo/dag.py")


def test_what_one_developer_makes_the_other_and_airflow_can_use(
    machine: Checkout, people: dict[str, Person]
) -> None:
    """Whatever the umask and the way in which a file came"""
    ana, ben = people["ana"], people["ben"]
    done = ana.run(WORK)
    assert done.returncode == 0, done.stderr
    each = " && ".join(f"echo 2 >> {DAGS}/shared/{file}" for file in FILES)
    deadline = time.monotonic() + 30
    while not ben.can(each) and time.monotonic() < deadline:
        pass  # what came with rights of its own is shared within seconds
    assert ben.can(each)
    commit = "git -c safe.directory='*' -c user.name=b -c user.email=b@b"
    assert ben.can(f"umask 077; cd {DAGS}/shared/repo && {commit} commit -qam two")
    assert ana.can(
        f"cd {DAGS}/shared/repo && git -c safe.directory='*' log | grep -q two && echo 3 >> dag.py"
    )
    inside = "sudo as-service airflow docker exec airflow-dag-processor-1 cat"
    for file in FILES:
        assert "2" in machine.ssh(f"{inside} {DAGS}/shared/{file}").stdout, file
    machine.ssh(f"sudo rm -rf {DAGS}/shared {DAGS}/.ana")


@pytest.fixture
def allowed_jobs(machine: Checkout, people: dict[str, Person]) -> Iterator[None]:
    """An admin lets somebody have jobs of their own, which people have not by themselves."""
    missing = machine.ssh(
        "for name in cron at tmux; do dpkg -s $name >/dev/null 2>&1 || echo $name; done"
    ).stdout.split()
    # Without what `at` recommends: a mail server would stay, which the hardening takes away at the next run.
    install = "sudo apt-get install -qq -y --no-install-recommends cron at tmux >/dev/null 2>&1"
    machine.ssh(f"{install}; sudo systemctl start cron atd")
    for command in ("echo '* * * * * true' | crontab -", "echo true | at now + 1 hour"):
        assert not people["ana"].can(command), command
    allow = "/etc/cron.allow /etc/at.allow"
    machine.ssh(f"echo ana | sudo tee -a {allow} >/dev/null; sudo loginctl enable-linger ana")
    yield
    # `at` becomes root, which the hardening has of few programs: the next files find the machine as it was.
    machine.ssh(
        f"sudo sed -i '/^ana$/d' {allow}; sudo apt-get purge -qq -y {' '.join(missing)} >/dev/null 2>&1;"
        " sudo /usr/local/lib/hangar/hardening-system apply"  # cron's own table came with its own rights
    )


@pytest.mark.usefixtures("allowed_jobs")
def test_leaving_ends_all_of_it(machine: Checkout, people: dict[str, Person], tokens: dict[str, str]) -> None:
    """An open session, tmux, a stubborn process, a user unit, a cron job and an at job: all gone in five seconds"""
    ana = people["ana"]
    made = ana.run("""
        set -e
        echo work > ~/work.txt; echo work > /dev/shm/ana.txt
        echo '* * * * * sleep 600' | crontab -; echo 'sleep 600' | at -q a now + 1 hour
        tmux new-session -d 'sleep 601'; systemd-run --user --quiet sleep 602
        nohup setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 603; done' >/dev/null 2>&1 </dev/null &
        closed=/srv/airflow/dags/closed.py; touch $closed
        nohup sh -c "while :; do chmod 600 $closed; sleep 0.1; done" >/dev/null 2>&1 </dev/null &
    """)
    assert made.returncode == 0, made.stderr
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(
            subprocess.Popen(ana.argv("sleep 604"), stdout=subprocess.DEVNULL, stderr=-3)
        )
        uid = machine.ssh("id -u ana").stdout.strip()
        wait = f"for _ in $(seq 100); do pgrep -U {uid} -f 604 >/dev/null && exit 0; sleep 0.1; done; exit 1"
        machine.ssh(wait)
        assert len(machine.ssh(f"pgrep -U {uid}").stdout.split()) >= 6
        gone = json.loads(ana.people("remove").stdout)
        assert session.wait(timeout=20) == 255
    assert gone["seconds"] < allowed(GONE_WITHIN)
    assert gone["proven"]
    assert machine.ssh(f"pgrep -U {uid}", check=False).stdout == ""
    assert not ana.can("true")
    # A unit that failed is an alert: a manager that was ended has not.
    assert uid not in machine.ssh("systemctl list-units --failed --plain --no-legend").stdout
    # getent says by its status that there is no such account, which is what is hoped for.
    left = "sudo ls /var/spool/cron/crontabs /var/spool/cron/atjobs /var/lib/systemd/linger /etc/ssh/authorized_keys"
    assert (
        "ana"
        not in machine.ssh(f"{left} /srv/people/home /srv/people/passwords; getent passwd ana || true").stdout
    )
    for everybodys in ("/var/spool/cron", "/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
        assert machine.ssh(f"sudo find {everybodys} -xdev -uid {uid}").stdout == "", everybodys
    # What they closed in the last moment is the team's, and no more theirs.
    closed = f"stat -c '%U %G %a' {DAGS}/closed.py; sudo rm {DAGS}/closed.py"
    assert machine.ssh(f"sudo {closed}").stdout == "root dags 660\n"
    archive = gone["archive"]
    assert machine.ssh(f"sudo stat -c '%U %a' {archive}").stdout == "root 600\n"
    assert "ana/work.txt" in machine.ssh(f"sudo tar tf {archive}").stdout
    port = int(machine.inventory()["airflow_port"])
    deadline = time.monotonic() + 30
    while (
        code := status(machine, "/api/v2/dags", tokens["ana"], port)
    ) == "200" and time.monotonic() < deadline:
        pass  # Airflow remembers an account for five seconds
    assert code in ("401", "403")
    assert status(machine, "/api/v2/dags", tokens["ben"], port) == "200"
    assert people["ben"].can("true")


def test_a_departure_that_was_killed_is_finished_by_the_same_again(
    machine: Checkout, people: dict[str, Person]
) -> None:
    ben = people["ben"]
    machine.ssh("sudo sh -c 'rm -f /srv/people/archive/ben-*'")
    ben.run("nohup setsid sleep 700 >/dev/null 2>&1 </dev/null & echo work > ~/work.txt")
    uid = machine.ssh("id -u ben").stdout.strip()
    for seconds in ("0.2", "0.4", "0.6"):
        machine.ssh(f"sudo timeout -s KILL {seconds} people remove ben", check=False)
    ben.people("remove")
    known = {one["name"]: one for one in json.loads(machine.ssh("sudo people show").stdout)}
    assert known["ben"]["left"]
    assert not ben.can("true")
    assert (
        machine.ssh(f"pgrep -U {uid}; sudo ls -A /srv/people/home; getent passwd ben", check=False).stdout
        == "vic\n"
    )
    assert (
        machine.ssh("sudo sh -c 'cat /srv/people/archive/ben-*.tar | tar tif -'").stdout.count("ben/work.txt")
        == 1
    )
    add(ben, "developer")


def test_a_number_is_never_given_to_somebody_else(machine: Checkout, people: dict[str, Person]) -> None:
    """Whoever comes back has the number of before; nobody else ever gets it"""
    before = json.loads(machine.ssh("sudo people show").stdout)
    add(people["ana"], "viewer")
    after = {one["name"]: one["uid"] for one in json.loads(machine.ssh("sudo people show").stdout)}
    assert after == {one["name"]: one["uid"] for one in before}
    assert people["ana"].can("test ! -e ~/work.txt")


def test_whose_day_is_today_is_out_with_what_runs_and_may_come_back(
    machine: Checkout, people: dict[str, Person]
) -> None:
    """The account and the home stay"""
    ana = people["ana"]
    ana.run("echo mine > ~/mine.txt; nohup setsid sleep 605 >/dev/null 2>&1 </dev/null &")
    uid = machine.ssh("id -u ana").stdout.strip()
    ana.people("expire", "--expires", "today")
    assert not ana.can("true")
    assert machine.ssh(f"pgrep -U {uid}", check=False).stdout == ""
    ana.people("expire", "--expires", "never")
    assert ana.run("cat ~/mine.txt").stdout == "mine\n"


def test_the_machine_keeps_its_promises_with_people_on_it(
    machine: Checkout, people: dict[str, Person]
) -> None:
    """A key or an account that somebody adds by hand is gone after the next run of the timer"""
    line = people["ana"].key.with_name("ana.pub").read_text().strip()
    machine.ssh(f"echo '{line}' | sudo tee /etc/ssh/authorized_keys/mallory >/dev/null")
    machine.ssh("sudo usermod -aG hangar-admins vic; sudo systemctl start hangar-people.service")
    assert machine.ssh("ls /etc/ssh/authorized_keys").stdout.split() == ["ana", "ben", "hangar", "vic"]
    assert "hangar-admins" not in machine.ssh("id -nG vic").stdout
