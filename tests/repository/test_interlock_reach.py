"""What can lock the operator out is changed with a way back, or the interlock's page says that it has none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "roles/interlock/README.md").read_text()

DANGEROUS = re.compile(
    r"^/etc/(sudoers\.d/|pam\.d/|login\.defs|ssh/sshd_config|sysctl\.d/.*hardening|hangar/firewall\.nft)"
)


def writers() -> dict[str, str]:
    """Each file of a role that can lock somebody out, with the role that writes it."""
    found = {}
    for path in REPO.glob("roles/*/templates/**/*"):
        role, _, target = str(path.relative_to(REPO / "roles")).partition("/templates")
        if path.is_file() and DANGEROUS.match(target):
            found[target.removesuffix(".j2")] = role
    return found


def trees(role: str) -> list[dict[str, Any]]:
    tasks = [
        task
        for path in (REPO / "roles" / role / "tasks").glob("*.yml")
        for task in yaml.safe_load(path.read_text())
    ]
    return [task["apply_tree"] for task in tasks if "apply_tree" in task]


WRITERS = writers()


def test_the_dangerous_files_are_found() -> None:
    assert {"ssh_server", "firewall", "hardening_accounts", "people", "hardening_kernel"} == set(
        WRITERS.values()
    )


@pytest.mark.parametrize("path", sorted(WRITERS))
def test_a_change_that_can_lock_out_has_a_way_back_or_is_named(path: str) -> None:
    has_way_back = any("undo" in tree for tree in trees(WRITERS[path]))
    assert has_way_back != (f"`{path}`" in PAGE)


@pytest.mark.parametrize("role", sorted({role for path, role in WRITERS.items() if "/sudoers.d/" in path}))
def test_all_of_sudos_files_are_judged_together(role: str) -> None:
    assert [tree.get("verify") for tree in trees(role) if "verify" in tree] == ["visudo -c"]
