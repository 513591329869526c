"""The controller's half: rendering, rules by path, and mistakes that are named. One playbook, no machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import GROUP, OWNER

REPO = Path(__file__).resolve().parents[2]
MINE = {"owner": OWNER, "group": GROUP}

BROKEN = {
    "undefined": ({"source": "{broken}/undefined"}, "etc/a.conf.j2", "no_such_variable"),
    "syntax": ({"source": "{broken}/syntax"}, "etc/b.conf.j2", "Syntax error"),
    "option": ({"sauce": "x"}, "unknown options: sauce"),
    "key": ({"files": {"/x": {"moed": "0644"}}}, "files: /x: unknown keys: moed"),
    "number": ({"files": {"{target}/**": {"mode": 420}}}, "quoted octal string", "420"),
    "lost": (
        {"files": {"/not/in/the/tree": {"mode": "0600"}}},
        "/not/in/the/tree: the tree brings no such file",
    ),
    "glob": ({"files": {"/x/*": {"content": "y"}}}, "not a glob"),
    "twice": ({"links": {"{target}/app.conf": "x"}}, "/app.conf: wanted both as file and as link"),
    "other": ({"unless": {"{target}": "The other one is there."}}, "The other one is there."),
    "link": (
        {"folders": {"{target}/dags": "{broken}/link"}},
        "broken/link/k.py: only files and folders",
        "no link",
    ),
    "way": ({"folders": {"{target}/dags": "{broken}/way"}}, "broken/way/sub/keys: only files and folders"),
    "pipe": ({"folders": {"{target}/dags": "{broken}/pipe"}}, "broken/pipe/wait: only files and folders"),
    "undo": ({"undo": {"after": 5}}, "undo needs the keys after and command"),
}


THEIRS = "x==1 --hash=sha256:0  # {{{{ lookup('pipe', 'touch {place}/ran') }}}}\n"


def fill(value: Any, **names: str) -> Any:
    """Put the paths of this run in."""
    text = json.dumps(value)
    for name, path in names.items():
        text = text.replace("{" + name + "}", path)
    return json.loads(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("action")


@pytest.fixture(scope="module")
def results(place: Path) -> dict[str, Any]:
    """Apply a role's tree and make every mistake once; returns the registered results by name."""
    target, broken = place / "machine", place / "broken"
    tree = place / "roles/demo/templates"
    inside = tree / str(target).lstrip("/")
    for path, text in {
        inside / "app.conf.j2": "# {{ hangar_managed }}\n"
        "{% for n in numbers %}\n    {% if n %}\nn = {{ n }}\n    {% endif %}\n{% endfor %}\n",
        inside / "verbatim.txt": "{{ stays as it is }}\n",
        inside / "only.j2": "{{ numbers }}",
        inside / "sub/secret.key": "key\n",
        inside / "unwanted.conf": "no\n",
        tree / "_part.j2": "hello {{ who }}\n",
        broken / "undefined/etc/a.conf.j2": "{{ no_such_variable }}\n",
        broken / "syntax/etc/b.conf.j2": "{% if %}\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (inside / "binary").write_bytes(b"\x00\xff{{ x }}")
    (place / "theirs.lock.j2").write_text(THEIRS.format(place=place))
    dags = place / "dags"
    for folder in (dags / "sub/__pycache__", broken / "link", broken / "way/sub", broken / "pipe"):
        folder.mkdir(parents=True)
    (dags / "sub/dag.py").write_text("{{ a DAG }}\n")
    (dags / "sub/__pycache__/dag.pyc").write_text("byte code")
    (place / "keys").mkdir()
    (place / "keys/operator").write_text("a private key\n")
    (broken / "link/k.py").symlink_to("../../keys/operator")
    (broken / "way/sub/keys").symlink_to(place / "keys")
    os.mkfifo(broken / "pipe/wait")
    good = {
        "journal": str(place / "journal"),
        "files": {
            f"{target}/*": {**MINE, "mode": "0644"},
            f"{target}/sub/*": {"mode": "0600"},
            f"{target}/unwanted.conf": {"mode": "0600"},
            f"{target}/app.conf": {"validate": "grep -q 'n = 7' %s"},
            f"{target}/from-text": {"content": "{{ numbers | length }} numbers\n"},
            f"{target}/lock": {"template": str(place / "theirs.lock.j2")},
            f"{target}/greeting": {"template": "_part.j2", "vars": {"who": "{{ inventory_hostname }}"}},
        },
        "directories": {str(target): {**MINE, "mode": "0750"}},
        "links": {f"{target}/link": "app.conf"},
        "folders": {f"{target}/dags": str(dags)},
        "skip": [f"{target}/unwanted*"],
    }
    tasks: list[dict[str, Any]] = [
        {"name": "Good", "apply_tree": good, "register": "good"},
        {
            "name": "Hidden",
            "apply_tree": {
                **good,
                "name": "hidden",
                "files": {**good["files"], f"{target}/more": {"content": "s3cret", **MINE}},
            },
            "register": "hidden",
            "no_log": True,
        },
    ]
    for name, (options, *_) in BROKEN.items():
        options = fill(options, target=str(target), broken=str(broken))
        tasks.append(
            {
                "name": name,
                "apply_tree": {"name": "broken", **options},
                "register": name,
                "ignore_errors": True,
            }
        )
    names = ["good", "hidden", *BROKEN]
    collect = "{{ {" + ", ".join(f"'{name}': {name}" for name in names) + "} | to_json }}"
    tasks.append(
        {
            "name": "Collect",
            "ansible.builtin.copy": {"dest": str(place / "results.json"), "content": collect, "mode": "0600"},
        }
    )
    (place / "roles/demo/tasks").mkdir()
    (place / "roles/demo/tasks/main.yml").write_text(yaml.safe_dump(tasks))
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "roles": ["demo"]}
    play["vars"] = {
        "numbers": [7, 0, 9],
        "hangar_managed": "Managed by {{ role_name }}",
        "ansible_python_interpreter": sys.executable,
    }
    (place / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(place / "play.yml"), "--diff"],
        env={**os.environ, "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"), "ANSIBLE_ROLES_PATH": str(place / "roles")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {**json.loads((place / "results.json").read_text()), "output": done.stdout}


def test_templates_are_rendered_and_other_files_are_not(results: dict[str, Any], place: Path) -> None:
    target = place / "machine"
    assert (target / "app.conf").read_text() == "# Managed by demo\nn = 7\nn = 9\n"
    assert (target / "verbatim.txt").read_text() == "{{ stays as it is }}\n"
    assert (target / "binary").read_bytes() == b"\x00\xff{{ x }}"
    assert (target / "only").read_text() == "[7, 0, 9]"
    assert not (target / "unwanted.conf").exists()
    assert (target / "link").readlink() == Path("app.conf")


def test_files_can_come_from_text_and_from_one_template_for_many(
    results: dict[str, Any], place: Path
) -> None:
    assert (place / "machine/from-text").read_text() == "3 numbers\n"
    assert (place / "machine/greeting").read_text() == "hello localhost\n"
    assert not list(place.rglob("machine/_part*"))


def test_a_file_from_outside_of_the_role_is_no_template_whatever_its_name(
    results: dict[str, Any], place: Path
) -> None:
    assert (place / "machine/lock").read_text() == THEIRS.format(place=place)
    assert not (place / "ran").exists()


def test_a_folder_is_copied_whole_and_a_link_in_it_brings_nothing(
    results: dict[str, Any], place: Path
) -> None:
    """Whose DAGs these are may choose their names, and not which of the operator's files go to the machine."""
    there = {path.relative_to(place / "machine/dags") for path in (place / "machine/dags").rglob("*")}
    assert there == {Path("sub"), Path("sub/dag.py")}
    assert (place / "machine/dags/sub/dag.py").read_text() == "{{ a DAG }}\n"
    assert all(results[name]["failed"] for name in ("link", "way", "pipe"))
    assert "a private key" not in results["output"]


def test_the_last_fitting_rule_counts(results: dict[str, Any], place: Path) -> None:
    modes = {
        path: oct((place / "machine" / path).stat().st_mode)[-3:]
        for path in ("app.conf", "sub/secret.key", ".")
    }
    assert modes == {"app.conf": "644", "sub/secret.key": "600", ".": "750"}


def test_the_result_names_the_files_and_carries_no_content(results: dict[str, Any], place: Path) -> None:
    good = results["good"]
    assert f"{place}/machine/app.conf" in good["changed_files"]
    assert {part["after_header"] for part in good["diff"]} >= {
        f"{place}/machine/app.conf",
        f"{place}/machine/binary",
    }
    assert not good["armed"]
    assert "invocation" not in good


def test_no_log_hides_everything(results: dict[str, Any]) -> None:
    assert "s3cret" not in results["output"]
    assert "n = 7" in results["output"], "the diff of the task that hides nothing"
    assert "diff" not in results["hidden"]


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_is_named(results: dict[str, Any], mistake: str) -> None:
    said = results[mistake]["msg"]
    for part in BROKEN[mistake][1:]:
        assert part in said
