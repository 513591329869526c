"""Reads platform.yml and turns whatever is wrong with it into one list."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from hangar import paths
from hangar.config.explain import explain
from hangar.config.models import Config, Settings
from hangar.config.reading import apply_overrides, decoded, read_yaml
from hangar.environments import missing, require_name
from hangar.errors import ConfigError

MEND = "Mend it and run the same command again."


def load(env: str, overrides: Sequence[str] = ()) -> Config:
    """The settings of an environment; `overrides` are `path=value`, stronger than the file.

    Raises:
        ConfigError: with every problem of the name, the file and the overrides. Nothing is written.
    """
    require_name(env)
    path = paths.platform_file(env)
    if not path.is_file():
        raise missing(env)
    text, problems = decoded(path.read_bytes())
    if problems:
        raise ConfigError(paths.shown(path), problems, MEND)
    return parse(env, text, overrides)


def parse(env: str, text: str, overrides: Sequence[str] = ()) -> Config:
    """As `load`, for a text that is or could be the environment's file.

    Raises:
        ConfigError: with every problem of the text and the overrides.
    """
    path = paths.platform_file(env)
    data, problems = read_yaml(text)
    problems += apply_overrides(data, overrides)
    try:
        settings = Settings.model_validate(data, context={"folder": path.parent})
    except ValidationError as error:
        problems += explain(error, Settings)
    if problems:
        raise ConfigError(paths.shown(path), problems, MEND)
    fields = {name: getattr(settings, name) for name in Settings.model_fields}
    return Config.model_construct(environment=env, **fields)


def schema() -> dict[str, Any]:
    """The JSON Schema of platform.yml, for editors."""
    return Settings.model_json_schema()
