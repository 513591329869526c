"""What the machine releases of the DAGs that come, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from pathlib import Path

import pytest

from tests.ansible.releases import Machine, archive
from tests.ansible.releases import machine as machine


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
