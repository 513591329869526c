"""How the service users' daemons are started, with a manager that is a script."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.templates.render import render

MANAGER = """#!/bin/sh
# Stands in for a service user's manager: `start` fails while `slow` is there; each look at the daemon is one more try.
cd "{folder}"
case "$*" in
*" start dbus.socket"*) ;;
*" start "*) echo start >> calls; [ ! -e slow ] ;;
*NRestarts*) echo x >> tries; wc -l < tries ;;
*ActiveState*) if [ -e tries ] && [ "$(wc -l < tries)" -ge "$(cat comes_at)" ]; then rm -f slow; fi
               if [ -e slow ]; then echo {state}; else echo active; fi ;;
esac
"""


def ensure(folder: Path, comes_at: int, state: str = "activating") -> subprocess.CompletedProcess[str]:
    """Runs `docker-hosts ensure` for one user, whose daemon is active from its try number `comes_at` on."""
    programs = folder / "bin"
    programs.mkdir()
    (folder / "comes_at").write_text(str(comes_at))
    if comes_at:
        (folder / "slow").touch()
    user = [{"name": "airflow", "uid": 2001, "subids": 200000}]
    files = {
        "docker-hosts": render("docker_host", "/usr/local/sbin/docker-hosts", docker_host_users=user),
        "as-service": MANAGER.format(folder=folder, state=state),
        "sleep": "#!/bin/sh\n",
    }
    for name, text in files.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(
        [programs / "docker-hosts", "ensure"], env=environment, capture_output=True, text=True, timeout=20
    )


def calls(folder: Path) -> int:
    return (folder / "calls").read_text().count("start")


def test_a_daemon_that_starts_is_started_and_no_more(tmp_path: Path) -> None:
    assert ensure(tmp_path, comes_at=0).returncode == 0
    assert not (tmp_path / "tries").exists()


def test_a_daemon_that_comes_at_a_later_try_is_waited_for(tmp_path: Path) -> None:
    """An emulated processor takes longer than the ten seconds that dockerd gives its containerd."""
    assert ensure(tmp_path, comes_at=3).returncode == 0
    assert calls(tmp_path) == 2, "the timers were not started after the daemon"


def test_a_daemon_that_fails_each_time_is_given_up(tmp_path: Path) -> None:
    assert ensure(tmp_path, comes_at=99).returncode != 0


def test_a_daemon_that_its_unit_gave_up_is_given_up_at_once(tmp_path: Path) -> None:
    assert ensure(tmp_path, comes_at=99, state="failed").returncode != 0
    assert not (tmp_path / "tries").exists()


def test_whoever_holds_root_up_holds_up_nobody_elses_daemon(tmp_path: Path) -> None:
    """A user rules their own manager, and may stop it in the middle of an answer."""
    users = [
        {"name": name, "uid": uid, "subids": 100 * uid}
        for name, uid in (("airbyte", 2002), ("airflow", 2001))
    ]
    text = render("docker_host", "/usr/local/sbin/docker-hosts", docker_host_users=users)
    text = text.replace("patience=900\n", "patience=1\n").replace("altogether=1800\n", "altogether=1\n")
    manager = f"""#!/bin/sh
        [ "$1" = airflow ] || exec sleep 60
        echo "$*" >> {tmp_path}/calls
    """
    for name, program in (("docker-hosts", text), ("as-service", manager)):
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)
    for verb, words in (
        (
            "ensure",
            "the daemon of airbyte does not run: sudo as-service airbyte systemctl --user status docker",
        ),
        ("look", None),
    ):
        done = subprocess.run(
            [tmp_path / "docker-hosts", verb], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == (1 if words else 0)
        assert done.stderr == (f"docker-hosts: {words}\n" if words else "")
        assert words or "stopped airbyte" in done.stdout
    assert "airflow systemctl --user start docker.service" in (tmp_path / "calls").read_text()


DOCKER = """#!/bin/sh
# Stands in for Docker's client, with the containers that the file `containers` describes.
cd "{folder}"
case "$1 $2" in
"container ls") cut -d ' ' -f 3 containers ;;
"container inspect") cat containers ;;
"container start") echo "$3" >> started; [ "$3" != still-full ] || {{ echo 'no space left on device' >&2; exit 1; }} ;;
esac
"""


def test_what_docker_could_not_start_is_started_and_nothing_else(tmp_path: Path) -> None:
    error = "mkdir /srv/airflow/merged: no space left on device"
    containers = [
        "true on-failure /runs ",
        f"true on-failure /runs-after-all {error}",
        f"false on-failure /still-full {error}",
        f"false on-failure /down {error}",
        "false on-failure /stopped-by-somebody ",
        f"false no /once-only {error}",
    ]
    (tmp_path / "containers").write_text("\n".join(containers) + "\n")
    for name, text in (
        ("docker", DOCKER.format(folder=tmp_path)),
        ("again", render("docker_host", "/usr/local/lib/hangar/docker-again")),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    surroundings = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([tmp_path / "again"], env=surroundings, capture_output=True, text=True, check=True)
    assert (tmp_path / "started").read_text().split() == ["still-full", "down"]
    assert done.stdout.splitlines() == [
        f"starting {name} again, which Docker could not: {error}" for name in ("still-full", "down")
    ]


def test_a_service_without_containers_has_nothing_to_start(tmp_path: Path) -> None:
    (tmp_path / "containers").touch()
    (tmp_path / "docker").write_text(DOCKER.format(folder=tmp_path))
    (tmp_path / "again").write_text(render("docker_host", "/usr/local/lib/hangar/docker-again"))
    (tmp_path / "docker").chmod(0o755)
    surroundings = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", tmp_path / "again"], env=surroundings, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert not (tmp_path / "started").exists()
