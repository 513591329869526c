"""Where Python packages come from: a login in that address would stand in arguments, images and environments."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hangar.paths import REPO
from tests.templates.render import value

FIRST = {
    "airflow": "roles/airflow/tasks/preflight.yml",
    "airbyte": "roles/airbyte/tasks/main.yml",
    "remote_ssh": "roles/remote_ssh/tasks/main.yml",
}
"""The file that each role's run begins with."""


def refused(role: str, index: str) -> list[str]:
    """What the role says before it touches anything."""
    given = {f"{role}_python_index": index, "role_path": str(REPO / "roles" / role)}
    said = []
    for task in yaml.safe_load((REPO / FIRST[role]).read_text()):
        check: dict[str, Any] = task.get("ansible.builtin.assert", {})
        if check and not value(role, f"({check['that']})", **given):
            text = str(check["fail_msg"])
            said.append(value(role, "__airbyte_refused", **given)[0] if "{{" in text else text)
    return said


@pytest.mark.parametrize("role", FIRST)
@pytest.mark.parametrize("login", ["user:hush", "hush", "hush:"])
def test_a_login_in_an_index_is_refused_and_not_repeated(role: str, login: str) -> None:
    (said,) = refused(role, f"https://{login}@pypi.example.org/simple")
    assert said.startswith(f"{role}_python_index: holds a login, which every ")
    assert "hush" not in said


@pytest.mark.parametrize("role", FIRST)
@pytest.mark.parametrize("index", ["https://pypi.org/simple", "https://pypi.example.org:8443/a@b/simple"])
def test_an_index_without_one_is_taken(role: str, index: str) -> None:
    assert refused(role, index) == []
