"""What the embedded engine is started with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hangar.paths import REPO
from tests.templates.render import render, value

ROLE = "airbyte"
WHERE = {"role_path": str(REPO / "roles/airbyte")}
INSIDE = "/opt/airbyte/connectors"


def engine(**options: Any) -> dict[str, Any]:
    text = render(ROLE, "/srv/airbyte/stack/compose.yaml", **WHERE, **options)
    found: dict[str, Any] = yaml.safe_load(text)["services"]["engine"]
    return found


def test_connectors_of_ones_own_reach_the_engine_and_it_cannot_write_to_them(tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text("{}")
    mine = {"airbyte_connectors": str(tmp_path)}
    found = engine(**mine)
    assert f"--connectors={INSIDE}" in found["command"]
    assert f"/srv/airbyte/stack/connectors:{INSIDE}:ro" in found["volumes"]
    assert value(ROLE, "__airbyte_folders", **WHERE, **mine)["/srv/airbyte/stack/connectors"] == str(tmp_path)
    assert value(ROLE, "__airbyte_refused", **mine) == []


def test_without_them_the_engine_knows_its_own_alone() -> None:
    found = engine()
    assert not [word for word in found["command"] if word.startswith("--connectors")]
    assert not [volume for volume in found["volumes"] if INSIDE in volume]
    assert list(value(ROLE, "__airbyte_folders", **WHERE)) == ["/srv/airbyte/stack/program/airbyte_embedded"]


def test_the_machine_of_airbytes_platform_is_refused_before_anything_is_written() -> None:
    """Both engines bring /usr/local/sbin/airbyte-secrets and /etc/hangar/airbyte.json: one's would be the other's"""
    first = yaml.safe_load((REPO / "roles/airbyte/tasks/stack.yml").read_text())[0]
    refused = value(ROLE, first["apply_tree"]["unless"].removeprefix("{{ ").removesuffix(" }}"))
    state = "/srv/airbyte/abctl/state"
    assert set(refused) == {f"{state}/installed.json", f"{state}/begun.json"}
    (sentence,) = set(refused.values())
    assert sentence.startswith("Airbyte's platform (abctl) stands on this machine")
    assert sentence.endswith("-e airbyte_engine=abctl -e airbyte_abctl_state=absent")


def test_a_folder_without_a_registry_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    assert value(ROLE, "__airbyte_refused", airbyte_connectors=str(tmp_path)) == [
        f"airbyte_connectors: {tmp_path} is no folder with a registry.json on the controller"
    ]
