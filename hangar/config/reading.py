"""From text to plain data: YAML without its traps, and `--set`."""

from collections.abc import Sequence
from typing import Any

import yaml

from hangar.errors import Problem


class _Loader(yaml.SafeLoader):
    """SafeLoader that notes a key given twice (YAML silently keeps the last)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.problems: list[Problem] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                first = seen[key.value]
                text = f'"{key.value}" is given twice, first on line {first}; one of them would be right'
                self.problems.append(Problem(f"line {line}", text))
            seen.setdefault(key.value, line)
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> tuple[dict[str, Any], list[Problem]]:
    """The file's data and what is wrong with its form. Data that cannot be read is empty."""
    loader = _Loader(text)
    try:
        data = loader.get_single_data()
    except yaml.YAMLError as error:
        return {}, [_syntax(error)]
    finally:
        loader.dispose()
    if data is None:
        return {}, loader.problems
    if not isinstance(data, dict):
        problem = Problem("line 1", "this is not a list of settings; lines such as `airflow:` would be right")
        return {}, [*loader.problems, problem]
    return data, loader.problems


def _syntax(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return Problem(where, f"this is not YAML ({what}); two spaces a level and `key: value` would be right")


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> list[Problem]:
    """Writes `path=value` into the data; returns what could not be applied."""
    problems = []
    for override in overrides:
        path, equals, text = override.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            problems.append(Problem(f"--set {override}", "--set airflow.port=8081 would be right"))
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        if not _put(data, keys, value):
            problems.append(Problem(f"--set {override}", f"{path} leads through a plain value"))
    return problems


def _put(data: dict[str, Any], keys: Sequence[str], value: Any) -> bool:
    for key in keys[:-1]:
        inner = data.get(key)
        if inner is None:
            inner = data[key] = {}
        if not isinstance(inner, dict):
            return False
        data = inner
    data[keys[-1]] = value
    return True
