"""The house rules for roles: one truth for options, a contract and a scenario each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from hangar.config import people

REPO = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (REPO / "roles").iterdir() if (path / "meta").is_dir())

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"

each_role = pytest.mark.parametrize("role", ROLES)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def options(role: str) -> dict[str, dict[str, Any]]:
    found = (
        read(REPO / "roles" / role / "meta/argument_specs.yml")["argument_specs"]["main"].get("options") or {}
    )
    return dict(found)


def defaults(role: str) -> dict[str, Any]:
    path = REPO / "roles" / role / "defaults/main.yml"
    return dict(read(path) or {}) if path.exists() else {}


def files(role: str, pattern: str) -> list[Path]:
    return sorted(path for path in (REPO / "roles" / role).rglob(pattern) if path.is_file())


def test_the_roles_of_the_machine_are_here() -> None:
    assert {
        "base",
        "service_users",
        "ssh_server",
        "firewall",
        "docker_host",
        "warehouse",
        "airflow",
        "remote_ssh",
        "monitoring",
    } <= set(ROLES)


@each_role
def test_every_option_is_typed_and_described(role: str) -> None:
    for name, option in options(role).items():
        assert option.get("type"), f"{name} has no type"
        assert len(str(option.get("description", ""))) > 15, f"{name} has no description"
        assert name.startswith(f"{role}_"), f"{name} is not named after its role"


@each_role
def test_defaults_agree_with_the_options(role: str) -> None:
    """A default stands in both places and is the same; a required option has none."""
    written = defaults(role)
    public = {name: option for name, option in options(role).items() if not option.get("required")}
    assert set(written) == set(public)
    for name, option in public.items():
        if isinstance(written[name], str) and "{{" in written[name]:
            continue  # follows another variable; its meaning stands in the description
        assert option.get("default") == written[name], name


@each_role
def test_the_readme_names_every_option(role: str) -> None:
    text = (REPO / "roles" / role / "README.md").read_text()
    assert [name for name in options(role) if f"`{name}`" not in text] == []
    stale = set(re.findall(rf"`({role}_\w+)`", text)) - set(options(role))
    assert not stale, f"the README names options that do not exist: {stale}"


@each_role
def test_the_role_has_a_contract_and_a_scenario(role: str) -> None:
    assert "def test_" in (REPO / "roles" / role / "tests" / f"test_{role}.py").read_text()
    scenario = "hardening" if role.startswith("hardening_") else role  # those four are tried together
    assert (REPO / "molecule" / scenario / "molecule.yml").exists()


@each_role
def test_what_is_promised_of_a_machine_that_is_lived_in_stands_in_one_file(role: str) -> None:
    """`up` reads test_ROLE.py alone: a promise in a file beside it would be proven in the scenario only."""
    beside = [path for path in files(role, "tests/test_*.py") if path.name != f"test_{role}.py"]
    assert [
        path.name for path in beside if "\npytestmark = pytest.mark.disturbs\n" not in path.read_text()
    ] == []


def test_every_control_is_proved_or_left_open_with_a_reason() -> None:
    """A control names tests that exist; one without any is among the exceptions of the house."""
    from hangar.controls import controls

    house = read(REPO / "playbooks/group_vars/all/hardening.yml")["hardening_house_exceptions"]
    reasons = {entry["control"]: entry["reason"] for entry in house}
    assert set(reasons) <= {control.name for control in controls()}
    assert len({control.name for control in controls()}) == len(controls())
    for control in controls():
        text = (REPO / "roles" / control.role / "tests" / f"test_{control.role}.py").read_text()
        assert [test for test in control.proved_by if f"def {test}(" not in text] == [], control.name
        assert control.sources, f"{control.name} has no source"
        assert control.proved_by or reasons.get(control.name), (
            f"{control.name} is neither proved nor excepted"
        )
        assert not control.proved_by or control.show, f"{control.name} has no command that shows it"


FOUND = {
    "__hardening_accounts_found": {
        "stdout_lines": ["shell games", "open guest", "root toor", "unlocked root"]
    },
    "__hardening_system_found": {"stdout_lines": ["package telnet installed"]},
    "__hardening_audit_found": {"stdout_lines": []},
}
"""What a machine says that needs all of it."""


def made_of(role: str, *left_open: str) -> str:
    """What a role comes to while these controls are left open."""
    from tests.templates.render import everything

    return everything(role, **FOUND, **{f"{role}_off": list(left_open)})


@pytest.mark.parametrize("role", [role for role in ROLES if f"{role}_off" in options(role)])
def test_an_exception_changes_what_its_role_does_where_it_may(role: str) -> None:
    """A control with a switch is left out when it is named; naming any other changes nothing."""
    from hangar.controls import controls

    whole = made_of(role)
    mine = [one for one in controls() if one.role == role]
    switches = [one.name for one in mine if one.switch]
    assert [name for name in switches if made_of(role, name) == whole] == []
    assert made_of(role, *(one.name for one in controls() if one.name not in switches)) == whole


def sources_in_names(role: str) -> set[str]:
    """The rules that the names of a role's tasks give as their source; a name for several ends in (CIS …; ANSSI …)."""
    found = set()
    for path in files(role, "tasks/*.yml"):
        for task in read(path) or []:
            inside = re.search(r"\(((?:CIS|ANSSI|NIST) .*)\)$", task["name"])
            for group in inside[1].split("; ") if inside else ():
                family, _, rest = group.partition(" ")
                for one in rest.split(", "):
                    span = re.fullmatch(r"R(\d+) to R(\d+)", one)
                    ones = (
                        [f"R{number}" for number in range(int(span[1]), int(span[2]) + 1)] if span else [one]
                    )
                    found |= {f"{family} {each}" for each in ones}
    return found


@pytest.mark.parametrize("role", [role for role in ROLES if role.startswith("hardening_")])
def test_a_task_names_the_source_of_each_control_that_it_applies(role: str) -> None:
    """By the number or by the chapter of it; and none that no control has."""
    from hangar.controls import controls

    def covers(named: str, source: str) -> bool:
        return source == named or source.startswith(f"{named}.")

    named = sources_in_names(role)
    applied = {source for one in controls() if one.role == role and one.switch for source in one.sources}
    assert applied
    assert {source for source in applied if not any(covers(name, source) for name in named)} == set()
    known = {source for one in controls() for source in one.sources}
    assert {name for name in named if not any(covers(name, source) for source in known)} == set()


def test_every_file_system_of_the_benchmark_is_closed_or_left_open_with_a_reason() -> None:
    """CIS 1.1.1 names ten; one that is passed over is neither in the evidence nor among the exceptions."""
    from hangar.controls import controls

    sources = {source for one in controls() for source in one.sources}
    assert {f"CIS 1.1.1.{number}" for number in range(1, 11)} <= sources


def test_only_a_role_that_can_be_told_has_controls_with_a_switch() -> None:
    from hangar.controls import controls, names

    assert {one.role for one in controls() if one.switch} == {
        role for role in ROLES if f"{role}_off" in options(role)
    }
    assert {one.needs for one in controls() if one.needs} <= names()


def test_site_lists_every_role_with_its_own_tag() -> None:
    (play,) = read(REPO / "playbooks/site.yml")
    listed = {entry["role"]: entry.get("tags") for entry in play["roles"]}
    assert set(listed) == set(ROLES)
    assert [role for role, tags in listed.items() if role not in tags] == []


def test_the_report_has_a_title_for_every_role() -> None:
    from hangar.report import words

    assert set(words.ROLES) == set(ROLES)
    assert [title for role, title in words.ROLES.items() if title == role] == []


@each_role
def test_main_only_imports(role: str) -> None:
    """tasks/main.yml reads as a table of contents, unless the role is a handful of tasks."""
    tasks = read(REPO / "roles" / role / "tasks/main.yml") or []
    modules = {
        key for task in tasks for key in task if key.startswith("ansible.builtin.") or key == "apply_tree"
    }
    if len(tasks) > 6:
        assert modules <= {
            "ansible.builtin.import_tasks",
            "ansible.builtin.include_tasks",
            "ansible.builtin.assert",
        }


def test_no_person_has_the_name_of_an_account_that_a_role_makes() -> None:
    """People come early: what a later role makes would find an account of that name, with a key to log in by"""
    made = set()
    for path in (REPO / "roles").rglob("etc/sysusers.d/*.j2"):
        made |= {line.split()[1] for line in path.read_text().splitlines() if re.match(r"[ug] [a-z]", line)}
    made |= {one["name"] for one in defaults("service_users")["service_users_groups"]}
    users = read(REPO / "playbooks/group_vars/all/users.yml")
    made |= {one["name"] for one in users["service_users_accounts"]}
    assert {"monitoring", "ops-agent", "airbyte-filter", "warehouse", "airflow", "dags"} <= made
    assert {name for name in made if not people.is_taken(name)} == set()
    with pytest.raises(ValidationError, match='"monitoring" is taken on the machine'):
        people.Person(name="monitoring", role="viewer", keys=[KEY])
    assert people.Person(name="monitor", role="viewer", keys=[KEY]).name == "monitor"


def test_an_account_of_a_contract_has_no_number_of_the_peoples() -> None:
    """By itself useradd takes the one after the last person's, and the people's contract, beside it, counts that"""
    made = 0
    for contract in (REPO / "roles").glob("*/tests/*.py"):
        for call in re.findall(r"\buseradd\b[^\n]*(?:\\\n[^\n]*)*", contract.read_text()):
            assert "--key UID_MIN=59000 --key UID_MAX=59999" in call, contract
            made += 1
    assert made


@each_role
def test_every_template_says_that_it_is_managed(role: str) -> None:
    for path in files(role, "templates/**/*.j2"):
        if path.suffixes[:1] == [".json"]:
            continue  # has no comments
        assert "hangar_managed" in path.read_text(), f"{path.relative_to(REPO)} does not say who writes it"


def test_programs_take_no_module_from_whoever_calls_them() -> None:
    """`-I`: neither the caller's folder nor its PYTHON variables; root calls most of them."""
    first = {
        str(path.relative_to(REPO)): line
        for role in ROLES
        for path in files(role, "templates/**/*")
        if (line := path.read_bytes().split(b"\n", 1)[0]).startswith(b"#!/usr/bin/python3")
    }
    assert len(first) > 20
    assert [path for path, line in first.items() if not line.startswith(b"#!/usr/bin/python3 -I")] == []


def test_suppressions_give_their_reason() -> None:
    """A suppressed failure has a comment on its line or above."""
    bare = []
    for path in [
        *(REPO / "roles").rglob("*.yml"),
        *(REPO / "playbooks").rglob("*.yml"),
        *(REPO / "molecule").rglob("*.yml"),
    ]:
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.search(r"ignore_errors:|failed_when: false|ignore_unreachable:", line):
                above = lines[number - 1].strip() if number else ""
                if "#" not in line and not above.startswith("#"):
                    bare.append(f"{path.relative_to(REPO)}:{number + 1}")
    assert bare == []


def test_the_guide_names_every_control() -> None:
    from hangar.controls import controls

    text = (REPO / "docs/hardening.md").read_text()
    assert [control.name for control in controls() if f"| `{control.name}` |" not in text] == []
    named = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", text, re.M))
    assert named == {control.name for control in controls()}
    promised = [control for control in controls() if control.proved_by]
    wrong = [
        control.name
        for control in promised
        if f"| `{control.name}` | {control.promise} | {'yes' if control.switch else 'no'} |" not in text
    ]
    assert wrong == [], "the guide does not say whether they have a switch"


@each_role
def test_no_role_asks_which_cloud_it_runs_on(role: str) -> None:
    """What a place has or lacks comes as the value of an option; the drivers alone have names for places."""
    asks = re.compile(r"\bgcp\b(?!\.json)|\b(?:server_|hangar_)?cloud\s*(?:==|!=|\bin\b|\bis\b)")
    folders = ("tasks", "handlers", "templates", "defaults", "vars", "meta")
    files = [
        path for folder in folders for path in (REPO / "roles" / role / folder).rglob("*") if path.is_file()
    ]
    found = [
        f"{path.relative_to(REPO)}: {line.strip()}"
        for path in files
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if asks.search(line)
    ]
    assert found == []
