"""Changes of the list `people` in platform.yml that leave every other line, and every comment, as it is.

The YAML parser says where things stand, the text is changed there, and the result is read again: it must hold the old
settings with the one change, or nothing is written.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import yaml

from hangar.config.reading import read_yaml
from hangar.errors import HangarError

KEY = "people"


class Unchangeable(HangarError):
    """The file is written in a way that we do not know how to change; it is as it was."""


def add(text: str, entry: dict[str, Any]) -> str:
    """The text with one more person, at the end of the list."""
    lines, node = text.splitlines(), _list(text)
    if node is None:
        changed = [*lines, *([""] if lines and lines[-1] else []), f"{KEY}:", *_block(entry, 2)]
    elif isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        after = _last_line(node.value[-1]) + 1
        changed = [*lines[:after], *_block(entry, node.start_mark.column), *lines[after:]]
    elif isinstance(node, yaml.SequenceNode) and node.value:
        at = _end(node.value[-1])
        return _checked(text, f"{text[:at]}, {_flow(entry)}{text[at:]}", [*_people(text), entry])
    else:
        line = _key_line(text)
        if lines[line].split("#")[0].strip() not in (f"{KEY}:", f"{KEY}: []", f"{KEY}: null", f"{KEY}: ~"):
            raise _beyond_us()
        after = _example_end(lines, line + 1)
        head = lines[line].replace(" []", "", 1).replace(" null", "", 1).replace(" ~", "", 1)
        changed = [*lines[:line], head, *lines[line + 1 : after], *_block(entry, 2), *lines[after:]]
    return _checked(text, _joined(text, changed), [*_people(text), entry])


def remove(text: str, name: str) -> str:
    """The text without that person; without them already, it stays as it is."""
    found = _find(text, name)
    if found is None:
        return text
    node, number = found
    left = [one for one in _people(text) if one.get("name") != name]
    item = node.value[number]
    if node.flow_style:
        first, last = _flow_span(node, number)
        return _checked(text, text[:first] + text[last:], left)
    lines = text.splitlines()
    return _checked(
        text, _joined(text, [*lines[: _dash_line(lines, item)], *lines[_last_line(item) + 1 :]]), left
    )


def set_expiry(text: str, name: str, day: date | None) -> str:
    """The text with another day for that person; None is no day."""
    found = _find(text, name)
    if found is None:
        raise _beyond_us()
    entry = {**_people(text)[found[1]], "expires": day}
    if day is None:
        del entry["expires"]
    wanted = [entry if one.get("name") == name else one for one in _people(text)]
    item = found[0].value[found[1]]
    pairs = {key.value: (key, value) for key, value in item.value}
    if "expires" in pairs and day is not None:
        value = pairs["expires"][1]
        return _checked(text, f"{text[: value.start_mark.index]}{day}{text[value.end_mark.index :]}", wanted)
    return (
        add(remove(text, name), entry) if day is None else _checked(text, _with_day(text, item, day), wanted)
    )


def set_keys(text: str, name: str, gone: Sequence[int], more: Sequence[str]) -> str:
    """The text in which that person has no more the keys at these places, and has `more` behind the others."""
    found = _find(text, name)
    if found is None:
        raise _beyond_us()
    people = _people(text)
    keys = people[found[1]]["keys"]
    keys = [keys] if isinstance(keys, str) else keys
    left = [key for place, key in enumerate(keys) if place not in gone]
    wanted = [{**one, "keys": [*left, *more]} if one.get("name") == name else one for one in people]
    changed = text
    for key in more:
        changed = _with_key(changed, _keys(changed, name), key)
    for place in sorted(gone, reverse=True):
        changed = _without_key(changed, _keys(changed, name), place)
    return _checked(text, changed, wanted) if changed != text else text


def _keys(text: str, name: str) -> yaml.Node:
    """The value of the person's `keys`."""
    found = _find(text, name)
    if found is None:
        raise _beyond_us()
    value: yaml.Node = next(value for key, value in found[0].value[found[1]].value if key.value == "keys")
    return value


def _with_key(text: str, node: yaml.Node, key: str) -> str:
    quoted = json.dumps(key, ensure_ascii=False)
    if isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">"):
        pair = f"[{json.dumps(node.value, ensure_ascii=False)}, {quoted}]"
        return text[: node.start_mark.index] + pair + text[node.end_mark.index :]
    if not isinstance(node, yaml.SequenceNode):
        raise _beyond_us()
    if node.flow_style:
        at = _end(node.value[-1])
        return f"{text[:at]}, {quoted}{text[at:]}"
    lines, after = text.splitlines(), _last_line(node) + 1
    return _joined(text, [*lines[:after], f"{' ' * node.start_mark.column}- {_scalar(key)}", *lines[after:]])


def _without_key(text: str, node: yaml.Node, place: int) -> str:
    if not isinstance(node, yaml.SequenceNode):
        raise _beyond_us()
    if node.flow_style:
        first, last = _flow_span(node, place)
        return text[:first] + text[last:]
    lines, item = text.splitlines(), node.value[place]
    return _joined(text, [*lines[: _dash_line(lines, item)], *lines[_last_line(item) + 1 :]])


def _with_day(text: str, item: yaml.MappingNode, day: date) -> str:
    if item.flow_style:
        at = _end(item.value[-1][1])
        return f"{text[:at]}, expires: {day}{text[at:]}"
    lines, after = text.splitlines(), _last_line(item) + 1
    column = item.value[0][0].start_mark.column
    return _joined(text, [*lines[:after], f"{' ' * column}expires: {day}", *lines[after:]])


def _people(text: str) -> list[dict[str, Any]]:
    return list(read_yaml(text)[0].get(KEY) or ())


def _checked(before: str, after: str, people: Sequence[dict[str, Any]]) -> str:
    """What we wrote, if a reader finds exactly what was meant.

    Raises:
        Unchangeable: nobody would find that.
    """
    wanted = {**read_yaml(before)[0], KEY: list(people) or None}
    found, problems = read_yaml(after)
    as_sets = [sorted(map(str, data.get(KEY) or ())) for data in (wanted, found)]
    others = [{key: value for key, value in data.items() if key != KEY} for data in (wanted, found)]
    if problems or as_sets[0] != as_sets[1] or others[0] != others[1]:
        raise _beyond_us()
    return after


def _beyond_us() -> Unchangeable:
    return Unchangeable(
        "platform.yml is written in a way that Hangar cannot change by itself; nothing was changed.",
        "* The list `people` uses anchors, tags or a form of its own.",
        "Change it by hand; the next `up` makes it so.",
    )


def _list(text: str) -> yaml.Node | None:
    """The value of `people`, or None where the key is missing."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return None
    return next((value for key, value in root.value if key.value == KEY), None)


def _key_line(text: str) -> int:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if root else ()
    return next(int(key.start_mark.line) for key, _ in pairs if key.value == KEY)


def _find(text: str, name: str) -> tuple[yaml.SequenceNode, int] | None:
    node = _list(text)
    if not isinstance(node, yaml.SequenceNode):
        return None
    for number, item in enumerate(node.value):
        named = item.value if isinstance(item, yaml.MappingNode) else ()
        if any(key.value == "name" and value.value == name for key, value in named):
            return node, number
    return None


def _scalars(node: yaml.Node) -> Iterator[yaml.Node]:
    """The leaves: a collection's own end mark lies behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode) or not node.value or getattr(node, "flow_style", False):
        yield node
    for child in node.value if isinstance(node.value, list) else ():
        for part in child if isinstance(child, tuple) else (child,):
            yield from _scalars(part)


def _end(node: yaml.Node) -> int:
    return max(int(leaf.end_mark.index) for leaf in _scalars(node))


def _last_line(node: yaml.Node) -> int:
    """The last line that holds something of the node. A block of text ends at the start of a line."""
    return max(
        int(leaf.end_mark.line)
        - (1 if leaf.end_mark.column == 0 and leaf.end_mark.line > leaf.start_mark.line else 0)
        for leaf in _scalars(node)
    )


def _dash_line(lines: Sequence[str], item: yaml.Node) -> int:
    """Where the item's dash stands: on its own line, or above it."""
    line = int(item.start_mark.line)
    while not lines[line].lstrip().startswith("-"):
        line -= 1
    return line


def _flow_span(node: yaml.SequenceNode, number: int) -> tuple[int, int]:
    """An item in brackets with the comma that belongs to it."""
    items = node.value
    if number + 1 < len(items):
        return items[number].start_mark.index, items[number + 1].start_mark.index
    first = _end(items[number - 1]) if number else items[number].start_mark.index
    return first, _end(items[number])


def _example_end(lines: Sequence[str], start: int) -> int:
    """Behind the indented comments that explain an empty list."""
    end = start
    while end < len(lines) and lines[end].startswith(" ") and lines[end].lstrip().startswith("#"):
        end += 1
    return end


def _block(entry: dict[str, Any], column: int) -> list[str]:
    """The person as the example in platform.yml shows one."""
    lines = []
    for key, value in entry.items():
        if isinstance(value, (list, tuple)):
            lines += [f"{key}:", *(f"  - {_scalar(one)}" for one in value)]
        else:
            lines.append(f"{key}: {_scalar(value)}")
    return [f"{' ' * column}{'- ' if number == 0 else '  '}{line}" for number, line in enumerate(lines)]


def _scalar(value: object) -> str:
    """In quotes where it needs them: the comment of a key may hold anything."""
    return (
        str(yaml.safe_dump(value, width=10_000, allow_unicode=True)).removesuffix("\n").removesuffix("\n...")
    )


def _flow(entry: dict[str, Any]) -> str:
    values = {
        key: json.dumps(list(value)) if isinstance(value, (list, tuple)) else value
        for key, value in entry.items()
    }
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


def _joined(before: str, lines: Sequence[str]) -> str:
    """With the line ends that the file has."""
    newline = "\r\n" if "\r\n" in before else "\n"
    return newline.join(lines) + newline
