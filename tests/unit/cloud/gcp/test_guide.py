"""docs/google-cloud.md names what the code asks for: whoever follows it lacks nothing, and gets nothing beside it."""

from __future__ import annotations

import re

from hangar import paths
from hangar.checks import google
from hangar.cloud.gcp import permissions
from hangar.config.gcp import Gcp

GUIDE = paths.REPO / "docs" / "google-cloud.md"
SECTION = "\n## "


def section(title: str) -> str:
    (found,) = (one for one in GUIDE.read_text(encoding="utf-8").split(SECTION) if one.startswith(title))
    return found


def roles_for(*needed: str) -> set[str]:
    return {str(permissions.role_for(one)) for one in needed}


def test_the_tables_of_roles_are_those_that_the_permissions_need() -> None:
    text = section("2. Permissions")
    before, after = text.split("`monitoring.backend: google`", 1)
    row = re.compile(r"^\| `(roles/[\w.]+)` \|", re.MULTILINE)
    assert set(row.findall(before)) == roles_for(*permissions.NEEDED)
    assert set(row.findall(after)) == roles_for(*permissions.FOR_MONITORING)


def test_the_command_gives_each_role_of_the_table() -> None:
    (words,) = re.findall(r"for role in (.+?); do", section("2. Permissions"), re.DOTALL)
    assert {f"roles/{one}" for one in words.replace("\\\n", " ").split()} == roles_for(*permissions.NEEDED)


def test_the_apis_that_doctor_looks_for_are_switched_on_first() -> None:
    (words,) = re.findall(
        r"services enable (.+?) --project", section("1. A project").split("orgpolicy")[0], re.DOTALL
    )
    on = set(words.replace("\\\n", " ").split())
    assert on >= set(google.SERVICES)
    assert "serviceusage.googleapis.com" in on, "doctor asks it about the others"
    assert " ".join(google.MONITORING) in section("2. Permissions")


def test_the_two_lines_to_be_filled_in_are_all_that_platform_yml_has_to_say() -> None:
    found = re.findall(r"^  (\w+): \S+$", section("3. What you want"), re.MULTILINE)
    assert found == ["project", "zone"]
    assert Gcp(project="acme-data-1", zone="europe-west6-a").machine_type
