"""From text to plain data: YAML without its traps, and `--set`."""

from collections.abc import Sequence
from typing import Any

import yaml

from hangar.config.public_keys import PRIVATE
from hangar.errors import Problem


class _Loader(yaml.SafeLoader):
    """SafeLoader that notes a key given twice (YAML silently keeps the last)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.problems: list[Problem] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # the loader itself says what is wrong with it
            line = key.start_mark.line + 1
            if key.value in seen:
                first = seen[key.value]
                text = f'"{key.value}" is given twice, first on line {first}; one of them would be right'
                self.problems.append(Problem(f"line {line}", text))
            seen.setdefault(key.value, line)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        """So does what only looks like a number (`0b_`)."""
        try:
            return self.construct_yaml_int(node)
        except ValueError:
            return self.construct_scalar(node)

    def construct_date(self, node: yaml.ScalarNode) -> Any:
        """A day that no calendar has stays a text, so that the setting can say what is wrong with it."""
        try:
            return self.construct_yaml_timestamp(node)
        except ValueError:
            return self.construct_scalar(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_date)


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
    if isinstance(error, yaml.constructor.ConstructorError) and "unhashable" in what:
        text = "{{ … }} of Ansible's templates means nothing here; the value itself would be right"
        return Problem(where, f"a list or a mapping cannot be a key ({text})")
    return Problem(where, f"this is not YAML ({what}); two spaces a level and `key: value` would be right")


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> list[Problem]:
    """Writes `path=value` into the data; returns what could not be applied."""
    return [_refused(one, wrong) for one in overrides if (wrong := _apply(data, one))]


def _refused(override: str, wrong: str) -> Problem:
    """The override with what is wrong with it. A private key, pasted by mistake, is not repeated."""
    if PRIVATE.search(override):
        return Problem("--set", "there is a private key, which belongs on its owner's computer alone")
    return Problem(f"--set {override}", wrong)


def _apply(data: dict[str, Any], override: str) -> str:
    """What is wrong with the override, or nothing."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not all(keys):
        return "it names no setting; --set airflow.port=8081 would be right"
    if not equals:
        return f"it names no value; --set {path}=8081 would be right"
    loader = _Loader(text)
    try:
        value = loader.get_single_data()
    except yaml.YAMLError:
        return "the value is not YAML; quotes around it would be right"
    finally:
        loader.dispose()
    if loader.problems:
        return loader.problems[0].message
    dead_end = _put(data, keys, value)
    return f'"{dead_end}" has no keys below it' if dead_end else ""


def _put(data: dict[str, Any], keys: Sequence[str], value: Any) -> str:
    """Sets the value; returns the path of the plain value that stands in the way, or nothing."""
    for depth, key in enumerate(keys[:-1], start=1):
        if data.get(key) is None:
            data[key] = {}
        if not isinstance(data[key], dict):
            return ".".join(keys[:depth])
        data = data[key]
    data[keys[-1]] = value
    return ""
