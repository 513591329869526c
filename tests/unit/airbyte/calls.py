"""The verb `pipelines`, called as people call it, and what Airbyte holds afterwards."""

import argparse
from collections.abc import Callable

from hangar import console
from hangar.commands import pipelines
from tests.unit.airbyte.fake_airbyte import FakeAirbyte

Declare = Callable[..., None]


def call(action: str, *, yes: bool = False, as_json: bool = False, name: str | None = None) -> int:
    args = argparse.Namespace(
        action=action, environment="local", overrides=[], json=as_json, exit_code=True, name=name
    )
    console.configure(json=as_json, yes=yes)
    try:
        return pipelines.run(args)
    finally:
        console.configure()


def held(airbyte: FakeAirbyte) -> tuple[list[str], ...]:
    return tuple(airbyte.names(kind) for kind in ("sources", "destinations", "connections"))
