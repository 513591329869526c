"""`python -m hangar.config`: writes the JSON Schema of platform.yml, for editors."""

import json

from hangar import paths
from hangar.config.load import schema


def text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    (paths.REPO / "inventory" / "platform.schema.json").write_text(text(), encoding="utf-8")
