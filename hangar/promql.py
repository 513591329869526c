"""PromQL of our own lists, made to speak of one machine alone: every series that is selected gets a label more."""

import re
from collections.abc import Iterator

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[A-Za-z_:][\w:]*|\d[\w.]*|\s+|.', re.DOTALL)
NAME = re.compile(r"[A-Za-z_:][\w:]*")

GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
"""What a list of labels follows."""

WORDS = GROUPING | {
    "and", "or", "unless", "offset", "bool", "inf", "nan",
    "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values",
}  # fmt: skip
"""What is no series though no bracket follows: `sum by (state) (…)`."""


def narrowed(expression: str, label: str, value: str) -> str:
    """The expression with `label="value"` on every series that it selects by name.

    Raises:
        ValueError: a selector without a name, which none of our lists has.
    """
    wanted = f'{label}="{value}"'
    return "".join(_written(expression, wanted))


def names(expression: str) -> frozenset[str]:
    """The series that an expression selects."""
    return frozenset(token for token, _, is_series in _tokens(expression) if is_series)


def _written(expression: str, wanted: str) -> Iterator[str]:
    opens = False
    for token, following, is_series in _tokens(expression):
        if is_series:
            opens = following == "{"
            yield token if opens else f"{token}{{{wanted}}}"
        elif token == "{":
            if not opens:
                raise ValueError(f"a selector without a name: {expression}")
            opens = False
            yield f"{{{wanted}{'' if following == '}' else ','}"
        else:
            yield token


def _tokens(expression: str) -> Iterator[tuple[str, str, bool]]:
    """Each token, what follows it that is no blank, and whether it names a series."""
    found = TOKEN.findall(expression)
    depth = {"{": 0, "[": 0}
    labels = False
    for number, token in enumerate(found):
        following = next((one for one in found[number + 1 :] if not one.isspace()), "")
        inside = depth["{"] or depth["["] or labels
        is_name = bool(NAME.fullmatch(token)) and not inside
        yield token, following, is_name and token.lower() not in WORDS and following != "("
        if token in depth:
            depth[token] += 1
        elif token in ("}", "]"):
            depth["{" if token == "}" else "["] -= 1
        elif labels and token == ")":
            labels = False
        elif is_name and token.lower() in GROUPING and following == "(":
            labels = True
