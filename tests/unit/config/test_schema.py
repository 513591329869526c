import json

from hangar import paths
from hangar.config.__main__ import text
from hangar.config.models import Settings


def test_the_committed_schema_is_current() -> None:
    committed = (paths.REPO / "inventory" / "platform.schema.json").read_text()
    assert committed == text(), "write it again: .venv/bin/python -m hangar.config"


def test_every_setting_says_what_it_is_and_what_would_be_right() -> None:
    schema = json.loads(text())
    models = {**schema["$defs"], "Settings": schema}
    for name, model in models.items():
        for key, described in model.get("properties", {}).items():
            section = models.get(described.get("$ref", "").rpartition("/")[2], described)
            assert section.get("description"), f"{name}.{key}"


def test_unknown_keys_are_refused_in_the_editor_too() -> None:
    schema = json.loads(text())
    assert schema["additionalProperties"] is False
    assert schema["title"] == "Hangar's platform.yml"
    assert set(schema["properties"]) == set(Settings.model_fields)
