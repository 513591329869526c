"""The house rules for the Python package and for the repository as a whole."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.pace import allowed

REPO = Path(__file__).resolve().parents[2]
PACKAGE = sorted((REPO / "hangar").rglob("*.py"))
TRACKED = subprocess.run(
    ["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True, check=True
).stdout.split("\0")[:-1]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules_that_import(name: str) -> set[str]:
    return {
        str(path.relative_to(REPO))
        for path in PACKAGE
        if any(found.split(".")[0] == name for found in imports(path))
    }


def test_one_package_starts_processes() -> None:
    """installers runs before the package's own environment exists, so it may use the standard library alone; the
    agents run on the machine and find nothing else there.
    """
    assert {name for name in modules_that_import("subprocess") if not name.startswith("hangar/process/")} == {
        "hangar/installers.py",
        "hangar/bounds.py",
        "hangar/root_shell/agent.py",
        "hangar/rotation/agent.py",
        "hangar/upgrade/remote/running.py",
    }


def test_few_modules_speak_to_google() -> None:
    """The login, what every call shares, Compute Engine's client, and the tunnel's login."""
    assert modules_that_import("google") == {
        "hangar/cloud/gcp/calling.py",
        "hangar/cloud/gcp/compute.py",
        "hangar/cloud/gcp/credentials.py",
        "hangar/cloud/gcp/relay/tokens.py",
    }


def test_compute_engines_client_is_loaded_with_the_first_call() -> None:
    """It takes a second, which nothing pays that asks Compute Engine nothing."""
    probe = "import sys, hangar.cloud.gcp.lifecycle; sys.exit('google.cloud.compute_v1' in sys.modules)"
    subprocess.run([sys.executable, "-c", probe], cwd=REPO, check=True)


def test_one_module_prints() -> None:
    printing = {
        str(path.relative_to(REPO))
        for path in PACKAGE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing <= {"hangar/console.py", "hangar/bootstrap.py"}


def test_imports_run_one_way() -> None:
    """A stage knows the record on its left and nothing to its right; only the pipeline and the verbs know the order."""
    order = [
        "config",
        "plan",
        "cloud",
        "inventory",
        "playbook",
        "verification",
        "report",
        "pipeline",
        "commands",
    ]
    rank = {name: number for number, name in enumerate(order)}
    wrong = []
    for path in PACKAGE:
        stage = path.relative_to(REPO / "hangar").parts[0].removesuffix(".py")
        for name in imports(path):
            parts = name.split(".")
            known = parts[0] == "hangar" and len(parts) > 1 and stage in rank
            if known and rank.get(parts[1], -1) > rank[stage]:
                wrong.append(f"{path.name} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(REPO)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "the module says nothing of itself"


IN_ONE = {"pydantic-core"}
"""Halves of a dependency that have one version with it."""


def test_what_is_imported_is_a_dependency_of_ours() -> None:
    """What another one happens to bring along may be gone with its next version."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())
    ours, tools = project["project"]["dependencies"], project["dependency-groups"]["dev"]
    brought = {
        root: {name.lower().replace("_", "-") for name in names}
        for root, names in importlib.metadata.packages_distributions().items()
    }
    undeclared = set()
    for folder, wanted in (("hangar", ours), ("tests", ours + tools)):
        declared = {re.split(r"[^\w.-]", one)[0] for one in wanted} | IN_ONE
        for path in (REPO / folder).rglob("*.py"):
            roots = {name.split(".")[0] for name in imports(path)} & set(brought)
            undeclared |= {(str(path.relative_to(REPO)), one) for one in roots if not brought[one] & declared}
    assert undeclared == set()


LOCKS = [
    "requirements.lock",
    "requirements-dev.lock",
    "tests/pipelines/requirements.lock",
    "roles/airflow/files/requirements.lock",
    "roles/airflow/files/dbt.lock",
    "roles/airflow/files/dlt.lock",
]


def test_the_dags_are_tried_with_the_airflow_that_the_machine_runs() -> None:
    """The machine's Python is another one, so the locks cannot be the same; what the DAGs call must be."""
    found = [
        re.findall(r"^(?:apache-airflow|airbyte-api|psycopg)[^ ]*", (REPO / lock).read_text(), re.M)
        for lock in ("tests/pipelines/requirements.lock", "roles/airflow/files/requirements.lock")
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("name", LOCKS)
def test_locks_carry_hashes_and_no_index(name: str) -> None:
    text = (REPO / name).read_text()
    assert not re.search(r"https?://|--index|--find-links|file:", text)
    pins = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert all("--hash=sha256:" in pin for pin in pins if "==" in pin)


def test_no_secret_or_inventory_of_a_machine_is_tracked() -> None:
    assert [
        name for name in TRACKED if name.endswith(("hosts.yml", ".pem", "id_ed25519", "known_hosts"))
    ] == []
    keys = [name for name in TRACKED if "PRIVATE KEY" + "-----" in (REPO / name).read_text(errors="replace")]
    assert keys == []


def test_nothing_names_the_machine_it_was_written_on() -> None:
    places = re.compile(r"(?<![\w.])/(?:home/[a-z]+/|Users/[A-Za-z]+/|work/)")
    named = [name for name in TRACKED if name.endswith((".py", ".yml", ".md", ".j2", ".sh", ".toml", ".cfg"))
             and places.search((REPO / name).read_text()) and "tests/" not in name]  # fmt: skip
    assert named == []


def test_host_key_checking_is_off_nowhere() -> None:
    off = re.compile(
        r"StrictHostKeyChecking[= ](no|off|accept-new)|host_key_checking\s*=\s*(False|no)|AutoAdd"
        + r"Policy|Warning"
        + r"Policy"
    )
    this = str(Path(__file__).relative_to(REPO))
    assert [
        name for name in TRACKED if name != this and off.search((REPO / name).read_text(errors="replace"))
    ] == []


def test_help_answers_in_a_blink() -> None:
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "hangar.cli", "--help"], cwd=REPO, capture_output=True, check=True)
    assert time.monotonic() - start < allowed(1.5)  # 0.3 s by itself, says make bench


def test_the_readme_names_every_verb() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hangar.cli", "--help"], cwd=REPO, capture_output=True, text=True, check=True
    )
    verbs = {path.stem.replace("_", "-") for path in (REPO / "hangar/commands").glob("[!_]*.py")}
    assert verbs
    assert [verb for verb in verbs if verb not in done.stdout] == []
    readme = (REPO / "README.md").read_text() + "".join(
        path.read_text() for path in (REPO / "docs").glob("*.md")
    )
    assert [verb for verb in verbs if f"provision.py {verb}" not in readme] == []


def headings(text: str) -> set[str]:
    """The anchors that GitHub makes of them."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.*)$", outside, flags=re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", one).lower() for one in found]
    return {re.sub(r"[^\w\- ]", "", one).strip().replace(" ", "-") for one in plain}


def test_links_in_the_documents_lead_somewhere() -> None:
    broken = []
    for name in TRACKED:
        if name.endswith(".md"):
            for path, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", (REPO / name).read_text()):
                place = (REPO / name).parent / path if path else REPO / name
                if "://" in path:
                    continue
                if not place.exists() or (anchor and anchor not in headings(place.read_text())):
                    broken.append(f"{name}: {path}#{anchor}")
    assert broken == []


def test_the_index_names_every_guide() -> None:
    index = (REPO / "docs/README.md").read_text()
    guides = [path.name for path in (REPO / "docs").glob("*.md") if path.name != "README.md"]
    assert [name for name in guides if f"({name})" not in index] == []


NAMED = re.compile(
    r"`((?:hangar|roles|playbooks|molecule|services|tests|templates|bench)/[\w./-]+\.(?:py|yml|sh|lock|md))`"
)
"""A file in a sentence. A word in capitals within it stands for a name."""


def test_files_that_the_documents_name_are_here() -> None:
    documents = [REPO / name for name in TRACKED if name.endswith(".md") and name != "CHANGELOG.md"]
    found = [(path, name) for path in documents for name in NAMED.findall(path.read_text())]
    found = [(path, name) for path, name in found if not re.search(r"[A-Z]{4}", name)]
    assert len(found) > 20
    assert [
        f"{path.name}: {name}"
        for path, name in found
        if not ((REPO / name).exists() or (path.parent / name).exists())
    ] == []


def test_the_accounts_are_the_same_with_and_without_a_plan() -> None:
    """The defaults of platform.yml, and those of the playbooks for whoever uses Ansible alone."""
    from hangar.config.models import Config

    shared = yaml.safe_load((REPO / "playbooks/group_vars/all/users.yml").read_text())[
        "service_users_accounts"
    ]
    users = Config(environment="local").users
    named = {name: getattr(users, name) for name in type(users).model_fields}
    assert [{"name": name, "uid": user.uid, "subids": user.subids} for name, user in named.items()] == shared
