"""pipelines/*.yml → Declared: read, checked, joined; every problem with its place, all at once."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from hangar import given, paths
from hangar.airbyte.model import Connection, Destination, Pipelines, Source, Stream
from hangar.config.explain import explain
from hangar.config.reading import read_file
from hangar.errors import ConfigError, Problem

if TYPE_CHECKING:
    from hangar.config import Config

PARTS = ("sources", "destinations", "connections")


@dataclass(frozen=True)
class Declared:
    """All files of an environment together. `secrets_elsewhere`: Secret Manager has those that they name."""

    workspace: str | None
    sources: dict[str, Source]
    destinations: dict[str, Destination]
    connections: dict[str, Connection]
    secrets_elsewhere: bool = False


def declared_files(environment: str) -> list[Path]:
    """pipelines/airbyte.yml, pipelines/airbyte/*.yml, and the environment's own inventory/<env>/airbyte.yml."""
    folder = paths.REPO / "pipelines"
    found = [folder / "airbyte.yml", *sorted((folder / "airbyte").glob("*.yml"))]
    return [path for path in [*found, paths.env_dir(environment) / "airbyte.yml"] if path.is_file()]


def load(config: "Config") -> Declared:
    """What the files declare for the environment.

    Raises:
        ConfigError: with every problem of every file. Nothing is touched.
    """
    problems: list[Problem] = []
    files = declared_files(config.environment)
    read = {path: _read(path, config, problems) for path in files}
    ours = {
        path: one
        for path, one in read.items()
        if one.environments is None or config.environment in one.environments
    }
    problems += _twice(ours)
    joined = Declared(
        next((one.workspace for one in ours.values() if one.workspace), None),
        {name: source for one in ours.values() for name, source in one.sources.items()},
        {name: destination for one in ours.values() for name, destination in one.destinations.items()},
        {name: connection for one in ours.values() for name, connection in one.connections.items()},
        given.is_elsewhere(config),
    )
    shared = _shared_tables(joined)
    for path, one in ours.items():
        problems += _located(
            path,
            [*_strangers(one, joined), *(shared[name] for name in one.connections if name in shared)],
            files,
        )
    if problems:
        source = paths.shown(files[0]) if len(files) == 1 else "What pipelines/ declares"
        raise ConfigError(source, problems, "Mend it and run the same command again.")
    return joined


def of_it_by_name(config: "Config") -> list[Path]:
    """The files that are meant for this environment and not for all."""
    problems: list[Problem] = []
    return [
        path
        for path in declared_files(config.environment)
        if config.environment in (_read(path, config, problems).environments or ())
    ]


def _read(path: Path, config: "Config", problems: list[Problem]) -> Pipelines:
    files = declared_files(config.environment)
    found: list[Problem] = []
    pipelines = Pipelines()
    try:
        data, found = read_file(path)
        data = _with_settings(data, config, found)
        pipelines = Pipelines.model_validate(data)
    except ValidationError as error:
        found += explain(error, Pipelines)
    problems += _located(path, found, files)
    return pipelines


def _located(path: Path, found: Sequence[Problem], files: Sequence[Path]) -> list[Problem]:
    """The problems with their file before them, where there are several files."""
    if len(files) == 1:
        return list(found)
    return [
        Problem(f"{paths.shown(path)}: {problem.path}".removesuffix(": "), problem.message)
        for problem in found
    ]


def _with_settings(value: Any, config: "Config", problems: list[Problem], at: str = "") -> Any:
    """The data with the values of platform.yml where `{setting: PATH}` stands."""
    if isinstance(value, dict) and set(value) == {"setting"}:
        found = _setting(config, str(value["setting"]))
        if found is None:
            right = "one such as airflow.port would be right"
            problems.append(Problem(at, f'platform.yml has no setting "{value["setting"]}"; {right}'))
        return found
    if isinstance(value, dict):
        return {
            key: _with_settings(below, config, problems, f"{at}.{key}".lstrip("."))
            for key, below in value.items()
        }
    if isinstance(value, list):
        return [
            _with_settings(below, config, problems, f"{at}.{number}") for number, below in enumerate(value)
        ]
    return value


def _setting(config: "Config", path: str) -> str | int | float | None:
    value: Any = config
    for part in path.split("."):
        value = (
            getattr(value, part, None)
            if isinstance(value, BaseModel) and part in type(value).model_fields
            else None
        )
    return value if isinstance(value, str | int | float) else None


def _twice(ours: dict[Path, Pipelines]) -> Iterator[Problem]:
    """What two files declare; a name stands for one thing."""
    first: dict[tuple[str, str], Path] = {}
    spaces: dict[str, Path] = {}
    for path, one in ours.items():
        for part in PARTS:
            for name in getattr(one, part):
                if (part, name) in first:
                    there = paths.shown(first[part, name])
                    yield Problem(
                        f"{paths.shown(path)}: {part}.{name}",
                        f"is in {there} too; one of them would be right",
                    )
                first.setdefault((part, name), path)
        if one.workspace:
            spaces.setdefault(one.workspace, path)
    if len(spaces) > 1:
        (name, one_file), (other, other_file) = list(spaces.items())[:2]
        message = f'"{other}", but {paths.shown(one_file)} says "{name}"; one for all files would be right'
        yield Problem(f"{paths.shown(other_file)}: workspace", message)


def _shared_tables(joined: Declared) -> dict[str, Problem]:
    """Connections by name that would remove what another writes into the same table. Rows of several sources may be
    appended to one.
    """
    first: dict[tuple[str, str, str], tuple[str, bool]] = {}
    found: dict[str, Problem] = {}
    for name, connection in joined.connections.items():
        for stream, options in connection.streams.items() if connection.enabled else ():
            table = re.sub(r"[^a-z0-9]", "_", f"{connection.prefix}{stream}".lower())
            place = (connection.destination, _schema(connection, options, joined), table)
            appends = options.sync_mode.endswith("_append")
            other, other_appends = first.setdefault(place, (name, appends))
            if other != name and not (appends and other_appends):
                found[name] = Problem(
                    f"connections.{name}.streams.{stream}",
                    f'the connection "{other}" writes the same table, and they would remove each other\'s rows; '
                    "a prefix or namespace of its own would be right",
                )
    return found


def _schema(connection: Connection, stream: Stream, joined: Declared) -> str:
    """Where in its destination a stream goes, as far as the files tell."""
    if connection.namespace == "source":
        return f"source {stream.namespace or connection.source}"
    if connection.namespace != "destination":
        return connection.namespace
    destination = joined.destinations.get(connection.destination)
    return str(destination.configuration.get("schema", "")) if destination else ""


def _strangers(one: Pipelines, joined: Declared) -> Iterator[Problem]:
    """Connections whose ends nobody declares."""
    for name, connection in one.connections.items():
        for kind, end, known in (
            ("source", connection.source, joined.sources),
            ("destination", connection.destination, joined.destinations),
        ):
            if end not in known:
                close = difflib.get_close_matches(end, known, n=1)
                right = (
                    f'did you mean "{close[0]}"?' if close else f"one that {kind}s: declares would be right"
                )
                yield Problem(f"connections.{name}.{kind}", f'there is no {kind} "{end}"; {right}')
