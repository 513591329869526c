"""The stand-in's answers, held against Airbyte's own description of its public API."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from stand_in_airbyte import Job, connection_answer, job_answer, now

SPEC = "shared/specs/airbyte-public-api.json"


@pytest.fixture(scope="module")
def spec() -> Any:
    given = os.environ.get("AIRBYTE_API_SPEC")
    places = [Path(given)] if given else [folder / SPEC for folder in Path(__file__).resolve().parents]
    for path in places:
        if path.exists():
            return json.loads(path.read_text())
    pytest.skip(
        f"Airbyte's description of its API is not here ({SPEC} in a folder above, or AIRBYTE_API_SPEC)"
    )


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ("ConnectionResponse", connection_answer("faker", "11111111-1111-4111-8111-111111111111")),
        *(
            (
                "JobResponse",
                job_answer(Job(1, "11111111-1111-4111-8111-111111111111", [status], now(), None), status),
            )
            for status in ("pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled")
        ),
    ],
)
def test_an_answer_is_as_airbyte_describes_it(spec, schema, answer):
    wanted = {"$ref": f"#/components/schemas/{schema}", "components": spec["components"]}
    assert [error.message for error in Draft202012Validator(wanted).iter_errors(answer)] == []
    broken = {key: value for key, value in answer.items() if key != "connectionId"}
    assert list(Draft202012Validator(wanted).iter_errors(broken)) != []
