"""What can lock the operator out is changed with a way back, or the interlock's page says that it has none."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "roles/interlock/README.md").read_text()

DANGEROUS = re.compile(
    r"^/etc/(sudoers\.d/|pam\.d/|security/|environment$|login\.defs|shells|nologin|hosts\.(allow|deny)|nsswitch\.conf|passwd"
    r"|group|shadow|ssh/sshd_config|ssh/authorized_keys|sysctl\.d/.*hardening|hangar/firewall\.nft|nftables|network/"
    r"|systemd/(network/|system/(ssh|user@|user-|systemd-networkd|systemd-logind|hangar-firewall\.service)))"
)


def writers() -> dict[str, str]:
    """Each file of a role that can lock somebody out, with the role that writes it."""
    found = {}
    for path in REPO.glob("roles/*/templates/**/*"):
        role, _, target = str(path.relative_to(REPO / "roles")).partition("/templates")
        target = target.removesuffix(".j2")
        if path.is_file() and DANGEROUS.match(target):
            found[target] = role
    return found


def has_way_back(role: str, path: str) -> bool:
    """Whether an undo of the role's, all of it or limited to paths, brings this one back."""
    limits = [tree["undo"].get("paths", ["*"]) for tree in trees(role) if "undo" in tree]
    return any(fnmatch(path, pattern) for patterns in limits for pattern in patterns)


def trees(role: str) -> list[dict[str, Any]]:
    tasks = [
        task
        for path in (REPO / "roles" / role / "tasks").glob("*.yml")
        for task in yaml.safe_load(path.read_text())
    ]
    return [task["apply_tree"] for task in tasks if "apply_tree" in task]


WRITERS = writers()


def test_the_dangerous_files_are_found() -> None:
    assert set(WRITERS.values()) >= {
        "ssh_server", "firewall", "hardening_accounts", "people", "hardening_kernel", "remote_ssh",
    }  # fmt: skip
    assert "/etc/security/limits.d/60-hangar-people.conf" in WRITERS


@pytest.mark.parametrize("path", sorted(WRITERS))
def test_a_change_that_can_lock_out_has_a_way_back_or_is_named(path: str) -> None:
    """By name, so that a file which comes later is judged by somebody."""
    assert has_way_back(WRITERS[path], path) != (f"`{path}`" in PAGE)


def test_what_the_page_says_has_no_way_back_is_written_by_a_role() -> None:
    (row,) = (line for line in PAGE.splitlines() if "limits of a session" in line)
    assert set(re.findall(r"`(/etc/\S+?)`", row)) == {
        path for path, role in WRITERS.items() if not has_way_back(role, path)
    }


@pytest.mark.parametrize("role", ["people", "hardening_accounts"])
def test_roles_that_change_accounts_know_the_operators_way_in(role: str) -> None:
    """By files or by commands: both are guarded, and proven after the last of them."""
    (path,) = (
        path for path in (REPO / "roles" / role / "tasks").glob("*.yml") if "guard.yml" in path.read_text()
    )
    tasks = yaml.safe_load(path.read_text())
    assert [tree["undo"]["accounts"] for tree in trees(role)] == ["{{ interlock_accounts }}"]
    parts = [task.get("ansible.builtin.include_role", {}).get("tasks_from", task["name"]) for task in tasks]
    changes = [part for part in parts if part.startswith(("People | Let in", "Accounts | Lock"))]
    assert parts.index("guard.yml") < parts.index(*changes) < parts.index("prove.yml")


def test_the_networks_parameters_are_noted_with_their_file() -> None:
    (tree,) = trees("hardening_kernel")
    assert tree["undo"]["network"] is True


@pytest.mark.parametrize("role", sorted({role for path, role in WRITERS.items() if "/sudoers.d/" in path}))
def test_all_of_sudos_files_are_judged_together(role: str) -> None:
    assert [tree.get("verify") for tree in trees(role) if "verify" in tree] == ["visudo -c"]
