"""The machine's program for releases, in a folder of the test's own; Docker is played by a script."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.templates.render import render

# Plays `as-service airflow docker run …`: each line `dag NAME` of a file is a DAG, `broken` is an error.
DOCKER = """#!{python}
import json, os, pathlib, sys, time
args = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(args) + "\\n")
if args[2] != "run":
    sys.exit(0)
place = next(word for word in args if word.endswith("/released/current:ro")).split(":")[0]
if os.path.exists({crash!r}):
    sys.exit("docker is not there")
found = dict(dags=dict(), problems=[])
for path in sorted(pathlib.Path(place).rglob("*.py")):
    name = str(path.relative_to(place))
    for line in path.read_text().splitlines():
        if line.startswith("dag "):
            found["dags"][line[4:]] = name
        if line.startswith("does "):
            exec(line[5:])
        if line == "broken":
            found["problems"].append([name, "ImportError: broken (line 1)"])
print(json.dumps(found))
"""


class Machine:
    """The program as the machine has it, with its folders below `folder`."""

    def __init__(self, folder: Path, kept: int = 3) -> None:
        self.released = folder / "srv/airflow/released"
        self.offered = folder / "srv/airflow/stack/offered"
        self.log = folder / "docker.log"
        self.crash = folder / "crash"
        for place in (self.released, self.offered, folder / "bin"):
            place.mkdir(parents=True)
        options = {"airflow_releases_kept": kept, "__airflow_image": "the-image"}
        text = render("airflow", "/usr/local/sbin/airflow-release", **options)
        for place in ("/srv/airflow/released", "/srv/airflow/stack/offered"):
            assert f'Path("{place}")' in text
            text = text.replace(f'Path("{place}")', f'Path("{folder}{place}")')
        self.program = folder / "airflow-release"
        self.program.write_text(text)
        docker = folder / "bin/as-service"
        docker.write_text(DOCKER.format(python=sys.executable, log=str(self.log), crash=str(self.crash)))
        docker.chmod(0o755)
        self.path = f"{docker.parent}:{os.environ['PATH']}"

    def run(
        self, *words: str, input: bytes = b"", python: Sequence[str] = (sys.executable,)
    ) -> tuple[int, Any, str]:
        done = subprocess.run(
            [*python, str(self.program), *words], input=base64.b64encode(input), capture_output=True,
            env={**os.environ, "PATH": self.path}, check=False,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr.decode()

    def deploy(self, python: Sequence[str] = (sys.executable,), **files: str) -> tuple[int, Any, str]:
        named = {name.replace("__", "/") + ".py": text for name, text in files.items()}
        words = ("deploy", "--by", "ann@desk", "--revision", "abc123")
        return self.run(*words, input=archive(named), python=python)

    def bring(self, **files: str) -> None:
        """What `up` copies to the machine."""
        for path in self.offered.iterdir():
            path.unlink()
        for name, text in files.items():
            (self.offered / f"{name}.py").write_text(text)

    @property
    def current(self) -> dict[str, str]:
        """What Airflow reads."""
        place = self.released / "current"
        return {str(path.relative_to(place)): path.read_text() for path in sorted(place.rglob("*.py"))}

    @property
    def kept(self) -> list[str]:
        return sorted(path.name for path in self.released.iterdir() if path.name[0].isdigit())


def archive(files: dict[str, str], **more: tarfile.TarInfo) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
        for member in more.values():
            tar.addfile(member)
    return packed.getvalue()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_release_is_put_in_place_and_described(machine: Machine) -> None:
    code, about, _ = machine.deploy(one="dag one\n", more__two="dag two\n")
    assert code == 0
    assert machine.current == {"more/two.py": "dag two\n", "one.py": "dag one\n"}
    assert about["dags"] == {"one": "one.py", "two": "more/two.py"}
    assert (about["by"], about["revision"]) == ("ann@desk", "abc123")
    assert (machine.released / "current").readlink() == Path(about["id"]) / "dags"
    modes = {path.stat().st_mode & 0o777 for path in (machine.released / about["id"]).rglob("*.py")}
    assert modes == {0o644}


def test_dags_are_judged_without_network_secrets_or_rights(machine: Machine) -> None:
    machine.deploy(one="dag one\n")
    runs = [args for args in map(json.loads, machine.log.read_text().splitlines()) if args[2] == "run"]
    assert len(runs) == 1
    said = " ".join(runs[0])
    assert said.startswith(
        "airflow docker run --rm --name airflow-release-check --pull never --network none --read-only"
    )
    assert "--cap-drop ALL --security-opt no-new-privileges:true" in said
    mounts = [after for word, after in zip(runs[0], runs[0][1:], strict=False) if word == "--volume"]
    assert all(mount.endswith(":ro") for mount in mounts)
    assert [mount.split(":")[1] for mount in mounts] == [
        f"{machine.released}/current", "/srv/airflow/plugins", "/opt/airflow/bin",
    ]  # fmt: skip
    assert "secrets" not in said.replace("no-new-privileges", "")
    assert "/run/connections" not in said


def test_a_broken_dag_never_reaches_the_bundle(machine: Machine) -> None:
    machine.deploy(one="dag one\n")
    code, answer, said = machine.deploy(one="dag one\n", two="broken\n")
    assert code == 1
    assert answer == {
        "error": "the DAGs have problems", "problems": [["two.py", "ImportError: broken (line 1)"]],
    }  # fmt: skip
    assert said == "two.py: ImportError: broken (line 1)\nNothing was released: the DAGs have problems\n"
    assert machine.current == {"one.py": "dag one\n"}
    assert len(machine.kept) == 1
    assert [path.name for path in machine.released.iterdir() if path.name.startswith(".staged")] == []


def test_nothing_is_released_without_a_dag(machine: Machine) -> None:
    machine.deploy(one="dag one\n")
    code, answer, _ = machine.deploy(one="nothing\n")
    assert (code, answer["error"]) == (
        1,
        "there is no DAG in what was sent; all that are released would vanish",
    )
    assert machine.current == {"one.py": "dag one\n"}


def test_nothing_is_released_unchecked(machine: Machine) -> None:
    machine.crash.touch()
    code, answer, _ = machine.deploy(one="dag one\n")
    assert (code, answer["error"]) == (1, "the DAGs could not be checked (exit 1): docker is not there")
    assert machine.kept == []


ENDLESS = "does for _ in range(3000): os.write({}, b'x' * 65535 + b'\\n')\n"


@pytest.mark.parametrize(("descriptor", "is_released"), [(1, False), (2, True)])
def test_what_a_checked_dag_prints_is_not_kept_in_memory(
    machine: Machine, descriptor: int, is_released: bool
) -> None:
    limited = ["prlimit", "--as=150000000", sys.executable]  # 200 MB are printed
    _, answer, _ = machine.deploy(python=limited, one="dag one\n" + ENDLESS.format(descriptor))
    assert len(machine.kept) == is_released
    found = answer.get("error", "released")
    assert found == (
        "released" if is_released else "the DAGs could not be checked (exit 0): there is no verdict"
    )


VERDICTS = [
    "[]", "5", "null", "{}", '{"dags": {}}', '{"dags": {}, "problems": 5}', '{"dags": {}, "problems": [["a"]]}',
    '{"dags": "ab", "problems": []}', '{"dags": {"a": 5}, "problems": []}', '{"dags": {"a": [1]}, "problems": []}',
    "[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_verdict_of_another_form_releases_nothing(machine: Machine, verdict: str) -> None:
    code, answer, said = machine.deploy(one=f"does print({verdict!r}) or sys.exit(0)\n")
    assert (code, answer["error"]) == (1, "the DAGs could not be checked (exit 0): there is no verdict")
    assert said == f"Nothing was released: {answer['error']}\n"
    assert machine.kept == []


def test_no_problem_of_a_dag_acts_on_the_terminal(machine: Machine) -> None:
    verdict = json.dumps({"dags": {}, "problems": [["a\x1b[2J.py", "\x1b]52;c;x\x07\ud800"]]})
    code, answer, said = machine.deploy(one=f"does print({verdict!r}) or sys.exit(0)\n")
    assert (code, answer["problems"]) == (1, [["a [2J.py", " ]52;c;x  "]])
    assert said.startswith("a [2J.py:  ]52;c;x  \n")
    assert "\x1b" not in said
    machine.deploy(one="does sys.exit('\\x1b[2J')\n")
    assert "\x1b" not in machine.deploy(one="does sys.exit('\\x1b[2J')\n")[2]


# Takes the place of os.sync, and writes down what stands there at that moment.
SYNC = """
import os, pathlib
def sync():
    found = [one for one in pathlib.Path({released!r}).rglob("*") if one.is_file()]
    pathlib.Path({log!r}).write_text("\\n".join(f"{{one.name}} {{one.stat().st_size}}" for one in found))
os.sync = sync
"""


def test_a_release_is_on_the_disk_before_it_has_its_name(machine: Machine, tmp_path: Path) -> None:
    log = tmp_path / "synced"
    patch = SYNC.format(released=str(machine.released), log=str(log))
    machine.program.write_text(
        machine.program.read_text().replace("\nif __name__", f"\n{patch}\nif __name__")
    )
    code, about, _ = machine.deploy(one="dag one\n")
    assert code == 0
    synced = dict(line.split() for line in log.read_text().splitlines())
    assert synced["one.py"] == "8"
    assert int(synced["release.json"]) > 0
    assert about["id"] in machine.kept


def link() -> tarfile.TarInfo:
    member = tarfile.TarInfo("secrets.py")
    member.type, member.linkname = tarfile.SYMTYPE, "/srv/airflow/secrets/fernet_key"
    return member


def device() -> tarfile.TarInfo:
    member = tarfile.TarInfo("disk")
    member.type = tarfile.BLKTYPE
    return member


@pytest.mark.parametrize(("member", "name"), [(link(), "secrets.py"), (device(), "disk")])
def test_links_and_devices_are_refused(machine: Machine, member: tarfile.TarInfo, name: str) -> None:
    code, answer, _ = machine.run(
        "deploy", "--by", "x", input=archive({"one.py": "dag one\n"}, strange=member)
    )
    assert code == 1
    assert answer["problems"] == [[name, "is neither a file nor a folder"]]


@pytest.mark.parametrize("name", ["../../outside.py", "a/../../outside.py"])
def test_nothing_is_written_outside_the_release(machine: Machine, name: str) -> None:
    code, answer, _ = machine.run("deploy", "--by", "x", input=archive({name: "dag one\n"}))
    assert code == 1
    assert answer["error"].startswith("the archive cannot be unpacked: ")
    assert list(machine.released.parent.rglob("outside.py")) == []


def test_half_an_archive_is_refused(machine: Machine) -> None:
    code, answer, _ = machine.run("deploy", "--by", "x", input=archive({"one.py": "dag one\n" * 500})[:1000])
    assert code == 1
    assert answer["error"].startswith("the archive cannot be unpacked: ")


def test_what_did_not_come_whole_is_refused_though_it_would_unpack(machine: Machine) -> None:
    whole = archive({"one.py": "dag one\n", "two.py": "dag two\n"})
    digest = hashlib.sha256(whole).hexdigest()
    code, answer, _ = machine.run("deploy", "--by", "x", "--sha256", digest, input=whole[:1024])
    assert (code, answer["error"]) == (1, "the archive did not come whole")
    assert machine.run("deploy", "--by", "x", "--sha256", digest, input=whole)[0] == 0


def test_an_environment_among_the_dags_is_refused(machine: Machine) -> None:
    code, answer, _ = machine.run(
        "deploy", "--by", "x", input=archive({f"v/{n}.py": "" for n in range(5001)})
    )
    assert (code, answer["error"]) == (1, "that is more than 5000 files or 100 MiB; DAGs are smaller")


def test_byte_code_and_hidden_files_stay_behind_but_not_airflows_own(machine: Machine) -> None:
    files = {
        "one.py": "dag one\n",
        ".git/config": "x",
        "__pycache__/one.pyc": "x",
        ".airflowignore": "skip\n",
    }
    assert machine.run("deploy", "--by", "x", input=archive(files))[0] == 0
    place = machine.released / "current"
    assert sorted(path.name for path in place.iterdir()) == [".airflowignore", "one.py"]


def test_the_last_releases_are_kept_and_the_current_one_whatever_its_age(machine: Machine) -> None:
    ids = [machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3)]
    assert machine.run("rollback", "--to", ids[0])[0] == 0
    ids += [machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3, 5)]
    assert len(machine.kept) == 3
    assert machine.current == {"one.py": "dag one\n# 4\n"}
    assert set(machine.kept) <= set(ids)


def test_the_release_to_go_back_to_is_never_removed(machine: Machine) -> None:
    """An afternoon of attempts, each of which is gone back from: the one that runs every night is the oldest."""
    good = machine.deploy(one="dag one\n")[1]["id"]
    for number in range(4):
        attempt = machine.deploy(one=f"dag one\n# attempt {number}\n")[1]["id"]
        assert machine.run("rollback")[1] == {"from": attempt, "to": good, "dags": {"one": "one.py"}}
        assert machine.current == {"one.py": "dag one\n"}
    # What was left makes room all the same: three, and the good one.
    assert len(machine.kept) == 4
    last = machine.deploy(one="dag one\n# at last\n")[1]["id"]
    newest = machine.deploy(one="dag one\n# and one more\n")[1]["id"]
    assert machine.run("rollback")[1]["to"] == last
    assert newest in machine.kept


def test_one_goes_back_to_what_was_read_before_and_not_to_what_was_passed_over(machine: Machine) -> None:
    ids = [machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3)]
    machine.run("rollback", "--to", ids[0])
    machine.deploy(one="dag one\n# 3\n")
    assert machine.run("rollback")[1]["to"] == ids[0]


def test_releases_of_an_earlier_version_can_be_gone_back_to(machine: Machine) -> None:
    ids = [machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3)]
    for id in ids:  # which did not say what was read before
        place = machine.released / id / "release.json"
        about = json.loads(place.read_text())
        del about["before"]
        place.write_text(json.dumps(about))
    assert [machine.run("rollback")[1]["to"] for _ in range(2)] == [ids[1], ids[0]]


def test_a_rollback_goes_back_one_release_at_a_time_and_can_be_undone(machine: Machine) -> None:
    first, second, third = (machine.deploy(one=f"dag one\n# {number}\n")[1]["id"] for number in range(3))
    assert machine.run("rollback")[1] == {"from": third, "to": second, "dags": {"one": "one.py"}}
    assert machine.run("rollback")[1]["to"] == first
    assert machine.current == {"one.py": "dag one\n# 0\n"}
    assert [one["left"] for one in machine.run("list")[1]["releases"]] == [True, True, False]
    assert machine.run("rollback", "--to", third)[0] == 0
    assert machine.current == {"one.py": "dag one\n# 2\n"}
    # The second was left for a reason.
    assert machine.run("rollback")[1]["to"] == first


def test_there_may_be_nothing_to_go_back_to(machine: Machine) -> None:
    machine.deploy(one="dag one\n")
    code, answer, _ = machine.run("rollback")
    assert (code, answer["error"]) == (1, "there is no release before the current one")
    code, answer, _ = machine.run("rollback", "--to", "00009-00000000")
    assert (code, answer["error"]) == (1, "there is no release 00009-00000000")


def offer(machine: Machine) -> Any:
    code, answer, said = machine.run("offer")
    assert code == 0, said
    return answer["released"]


def test_up_releases_what_is_new_and_once(machine: Machine) -> None:
    machine.bring(one="dag one\n")
    assert machine.run("offer", "look")[1] == {"news": True}
    assert offer(machine)["by"] == "up"
    assert machine.run("offer", "look")[1] == {"news": False}
    assert offer(machine) is None
    machine.bring(one="dag one\n# changed\n")
    assert machine.run("offer", "look")[1] == {"news": True}
    assert offer(machine)["dags"] == {"one": "one.py"}


def test_up_leaves_a_deployment_and_a_rollback_as_they_are(machine: Machine) -> None:
    machine.bring(one="dag one\n")
    offer(machine)
    machine.deploy(one="dag one\n# deployed\n")
    assert offer(machine) is None
    assert machine.current == {"one.py": "dag one\n# deployed\n"}
    machine.bring(one="dag one\n# broken at night\n")
    newest = offer(machine)["id"]
    assert machine.run("rollback")[1]["from"] == newest
    (machine.released / ".offered").unlink()  # another controller, or a killed `up`
    assert offer(machine) is None
    assert machine.current != {"one.py": "dag one\n# broken at night\n"}


def test_up_may_bring_no_dag_at_all(machine: Machine) -> None:
    assert offer(machine)["dags"] == {}
    assert machine.current == {}
    assert (machine.released / "current").is_dir()


def test_what_stood_there_before_releases_were_made_is_removed(machine: Machine) -> None:
    (machine.released / "city_temperatures").mkdir()
    (machine.released / "city_temperatures/dag.py").write_text("dag old\n")
    machine.bring(one="dag one\n")
    offer(machine)
    assert sorted(path.name for path in machine.released.iterdir() if path.name[0] not in ".0") == ["current"]


def test_what_a_killed_release_left_is_removed_and_never_counts(machine: Machine) -> None:
    (machine.released / "00000-00000000/dags").mkdir(parents=True)
    (machine.released / ".staged-1/dags").mkdir(parents=True)
    machine.deploy(one="broken\n")
    assert list(machine.released.glob(".staged-*")) == []
    machine.deploy(one="dag one\n")
    assert machine.current == {"one.py": "dag one\n"}
    assert len(machine.kept) == 1


def test_one_release_at_a_time(machine: Machine) -> None:
    import fcntl

    with (machine.released / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, answer, _ = machine.deploy(one="dag one\n")
    assert (code, answer["error"]) == (1, "another release is at work; wait for it")
