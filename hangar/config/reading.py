"""From text to plain data: YAML without its traps, and `--set`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hangar.config.public_keys import PRIVATE
from hangar.errors import Problem

LEVELS = 100
LARGEST = 1_000_000
"""How deep values may lie in one another, and how many there may be once each anchor stands for what it names: a few
lines of anchors can mean more than fits into memory.
"""

ENDLESS = "a value holds itself, or has no end of levels; one that ends would be right"


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


def read_file(path: Path) -> tuple[dict[str, Any], list[Problem]]:
    """As `read_yaml`, for a file. One that is no UTF-8 is not guessed at: its letters would reach the machine as other
    ones.
    """
    text, problems = decoded(path.read_bytes())
    return ({}, problems) if problems else read_yaml(text)


def decoded(raw: bytes) -> tuple[str, list[Problem]]:
    """The text of a file, or the line that is no UTF-8."""
    try:
        return raw.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        text = "is not UTF-8; save the file as UTF-8 (your editor calls it an encoding)"
        return "", [Problem(f"line {line}", text)]


def read_yaml(text: str) -> tuple[dict[str, Any], list[Problem]]:
    """The file's data and what is wrong with its form. Data that cannot be read is empty."""
    data, problems = _read(text)
    if data is None:
        return {}, problems
    if not isinstance(data, dict):
        problem = Problem("line 1", "this is not a list of settings; lines such as `airflow:` would be right")
        return {}, [*problems, problem]
    return data, problems


def _read(text: str) -> tuple[Any, list[Problem]]:
    """Any value, and what is wrong with its form; None where it cannot be read."""
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        return None, [_unprintable(error, text)]
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        problems = _unbounded(node)
        return (None, problems) if problems else (loader.construct_document(node), loader.problems)
    except yaml.YAMLError as error:
        return None, [_syntax(error)]
    except RecursionError:
        return None, [Problem("", ENDLESS)]
    finally:
        loader.dispose()


def _unbounded(root: yaml.Node) -> list[Problem]:
    """What is wrong where anchors lead round in a circle or mean more than anybody meant."""
    known: dict[int, tuple[int, int] | None] = {}

    def measure(node: yaml.Node) -> tuple[int, int]:
        """How many values it means, and on how many levels.

        Raises:
            RecursionError: it holds itself.
        """
        if isinstance(node, yaml.ScalarNode):
            return 1, 1
        if id(node) not in known:
            known[id(node)] = None
            below = (
                node.value
                if isinstance(node, yaml.SequenceNode)
                else [one for pair in node.value for one in pair]
            )
            found = [measure(one) for one in below]
            known[id(node)] = (
                1 + sum(size for size, _ in found),
                1 + max((high for _, high in found), default=0),
            )
        measured = known[id(node)]
        if measured is None:
            raise RecursionError
        return measured

    size, levels = measure(root)
    if levels > LEVELS:
        raise RecursionError
    if size > LARGEST:
        text = f"its anchors (`&` and `*`) mean {size} values; {LARGEST} at most would be right"
        return [Problem("", text)]
    return []


def _unprintable(error: yaml.reader.ReaderError, text: str) -> Problem:
    line = text.count("\n", 0, error.position) + 1
    right = "a file that your editor has saved as UTF-8 would be right"
    return Problem(
        f"line {line}", f"here is what no text holds (the character {error.character:#06x}); {right}"
    )


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
    value, problems = _read(text)
    if problems:
        return (
            "the value is not YAML; quotes around it would be right" if value is None else problems[0].message
        )
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
