"""How a service's images are made anew: Docker and mmdebstrap are scripts that write down what they are asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.templates.render import render

DOCKER = """#!/bin/sh
# What has fixes is what the file `fixes` says.
cd "{folder}"
echo "$*" >> asked
case "$1 $2" in
"run --rm") if [ -e apt.conf ]; then for ask; do :; done; APT_CONFIG=apt.conf exec sh -c "$ask"; fi; cat fixes ;;
"image inspect") [ ! -e missing ] ;;
"import --change") cat > /dev/null ;;
esac
"""
FIX = "Inst libssl3t64 [3.5.1-1] (3.5.1-1+deb13u1 Debian-Security:13/stable-security [amd64])\n"
OTHER = "Inst nano [8.4-1] (8.4-1+deb13u1 Debian:13.2/stable [amd64])\n"


class Machine:
    """A service user's folder, with the program that makes its images."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "srv/somebody/state"
        recipe = folder / "srv/somebody/stack/image"
        for one in (self.state, recipe, folder / "tmp"):
            one.mkdir(parents=True)
        base = {"name": "hangar/debian:1", "suite": "trixie", "packages": ["python3"], "sources": "/x"}
        (recipe / "images.json").write_text(json.dumps({"base": base, "images": ["hangar/airflow:1"]}))
        self.fixes("")
        text = render("docker_host", "/usr/local/lib/hangar/service-images")
        text = text.replace('Path("/srv")', f'Path("{folder}/srv")').replace(
            'Path("/tmp")', f'Path("{folder}/tmp")'
        )
        (folder / "images").write_text(text)
        for name, script in (
            ("docker", DOCKER.format(folder=folder)),
            ("mmdebstrap", "#!/bin/sh\necho a root\n"),
        ):
            (folder / name).write_text(script)
            (folder / name).chmod(0o755)

    def fixes(self, said: str) -> None:
        (self.folder / "fixes").write_text(said)

    def run(self, verb: str) -> int:
        surroundings = {"PATH": f"{self.folder}:{os.environ['PATH']}", "LOGNAME": "somebody"}
        return subprocess.run(
            ["python3", self.folder / "images", verb], env=surroundings, capture_output=True, check=False
        ).returncode

    def marks(self) -> dict[str, int]:
        return {
            name: int((self.state / name).stat().st_mtime)
            for name in ("images-outdated", "stack-changed")
            if (self.state / name).exists()
        }

    def asked(self, *words: str) -> list[str]:
        return [
            line
            for line in (self.folder / "asked").read_text().splitlines()
            if line.startswith(" ".join(words))
        ]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_only_security_updates_make_images_outdated(machine: Machine) -> None:
    machine.fixes(OTHER)
    assert machine.run("updates") == 0
    assert machine.marks() == {}
    machine.fixes(FIX)
    assert machine.run("updates") == 0
    assert list(machine.marks()) == ["images-outdated"]


APT = """
Dir "{folder}/apt";
Dir::State::status "{folder}/apt/status";
Dir::Etc::sourcelist "{folder}/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Sandbox::User "";
Acquire::http::Proxy "DIRECT";
Acquire::Retries "0";
"""


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="asks Debian's apt-get")
def test_a_mirror_that_nobody_reaches_is_not_taken_for_one_without_fixes(machine: Machine) -> None:
    """apt-get calls that a success; an image has no lists of its own, so that nothing would ever wait."""
    for one in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (machine.folder / "apt" / one).mkdir(parents=True)
    (machine.folder / "apt/status").touch()
    (machine.folder / "apt/sources.list").write_text("")
    (machine.folder / "apt.conf").write_text(APT.format(folder=machine.folder))
    assert machine.run("updates") == 0
    gone = "deb http://127.0.0.1:9/debian-security trixie-security main\n"
    (machine.folder / "apt/sources.list").write_text(gone)
    assert machine.run("updates") != 0
    assert machine.marks() == {}


def test_an_image_is_looked_over_within_bounds_and_never_fetched_from_a_registry(machine: Machine) -> None:
    machine.run("updates")
    (asked,) = machine.asked("run")
    assert asked.split(" --user ")[0] == (
        "run --rm --pull never --security-opt no-new-privileges:true --memory 1g --pids-limit 200"
    )


def test_each_days_look_leaves_the_time_since_when_fixes_wait(machine: Machine) -> None:
    """The alert ImagesOutdated counts from the first day, not from the last look."""
    machine.fixes(FIX)
    machine.run("updates")
    os.utime(machine.state / "images-outdated", (1000, 1000))
    machine.run("updates")
    assert machine.marks() == {"images-outdated": 1000}
    # Made, but not yet taken by the containers: the fixes still wait since then.
    assert machine.run("build") == 0
    assert machine.marks() == {"stack-changed": 1000}
    assert machine.run("look") == 0
    # And once more, while containers still wait.
    machine.run("updates")
    assert machine.run("build") == 0
    assert machine.marks() == {"stack-changed": 1000}


def test_an_outdated_image_is_made_from_new_packages_and_not_from_the_old_base(machine: Machine) -> None:
    (machine.state / "images-outdated").touch()
    (machine.folder / "missing").touch()  # once it is removed
    assert machine.run("build") == 0
    assert machine.asked("image rm --force") == ["image rm --force hangar/debian:1"]
    assert machine.asked("buildx bake")
    # Inherited by what is made of it, and what docker-prune.service passes by.
    assert machine.asked("import") == [
        "import --change ENV LANG=C.UTF-8 --change LABEL hangar.image=1 - hangar/debian:unfinished"
    ]


def test_an_image_that_waits_for_its_containers_is_not_pruned_as_unused() -> None:
    """Compose pulls nothing (pull_policy: never): without it the next start of the machine would have no Airflow."""
    users = [{"name": "airflow", "uid": 2001, "subids": 200000}]
    unit = render("docker_host", "/etc/systemd/user/docker-prune.service", docker_host_users=users)
    pruned = [line for line in unit.splitlines() if "docker image prune" in line]
    assert pruned == [
        "ExecStart=/usr/bin/docker image prune --all --force --filter until=168h --filter label!=hangar.image",
        "ExecStart=/usr/bin/docker image prune --force --filter until=168h",
    ]
