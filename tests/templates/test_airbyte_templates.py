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


def test_a_folder_without_a_registry_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    assert value(ROLE, "__airbyte_refused", airbyte_connectors=str(tmp_path)) == [
        f"airbyte_connectors: {tmp_path} is no folder with a registry.json on the controller"
    ]
