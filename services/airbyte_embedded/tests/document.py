"""Airbyte's OpenAPI document as the judge of requests and answers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

REPO = Path(__file__).resolve().parents[3]
PLACES = [
    Path(os.environ.get("AIRBYTE_PUBLIC_API", "/nonexistent")),
    *(parent / "shared/specs/airbyte-public-api.json" for parent in REPO.parents),
]
PATH = next((path for path in PLACES if path.is_file()), None)

needs_document = pytest.mark.skipif(
    PATH is None,
    reason="Airbyte's OpenAPI document is not here: put it at ../shared/specs/airbyte-public-api.json"
    " beside the repository, or name it in AIRBYTE_PUBLIC_API",
)


class Document:
    def __init__(self) -> None:
        assert PATH
        self.content: dict[str, Any] = json.loads(PATH.read_text())

    def operations(self) -> list[tuple[str, str]]:
        return [
            (method.upper(), path)
            for path, methods in self.content["paths"].items()
            for method in methods
            if method != "parameters"
        ]

    def _faults(self, schema: dict[str, Any], value: Any) -> list[str]:
        whole = {**schema, "components": self.content["components"]}
        return [f"{list(error.path)}: {error.message}" for error in OAS31Validator(whole).iter_errors(value)]

    def judge(self, method: str, path: str, answer: httpx.Response, sent: Any = None) -> None:
        """The answer's status is one that Airbyte documents, and its body fits; so does the request's."""
        operation = self.content["paths"][path][method.lower()]
        assert str(answer.status_code) in operation["responses"], answer.text
        content = operation["responses"][str(answer.status_code)].get("content", {})
        if "application/json" in content:
            assert self._faults(content["application/json"]["schema"], answer.json()) == []
        if sent is not None:
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            assert self._faults(body, sent) == []
