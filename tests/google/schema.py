"""Whether a body or a parameter is what the discovery document says. Problems are sentences, each with its path."""

import re
from typing import Any

from tests.google.discovery import Document, Method
from tests.google.errors import GoogleError, invalid, required, unknown_name

INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
TYPES = {"string": str, "boolean": bool, "object": dict, "array": list}


def problems(value: Any, schema: dict[str, Any], document: Document, path: str) -> list[GoogleError]:
    """Everything in `value` that the schema does not allow."""
    if "$ref" in schema:
        schema = document.schemas[schema["$ref"]]
    kind = schema.get("type", "any")
    if kind == "any" or value is None:
        return []
    if kind in ("integer", "number"):
        return _number_problems(value, schema, path)
    if not isinstance(value, TYPES[kind]):
        return [_mistyped(path, kind, value)]
    if kind == "object":
        return _object_problems(value, schema, document, path)
    if kind == "array":
        found = [
            problems(item, schema["items"], document, f"{path}[{place}]") for place, item in enumerate(value)
        ]
        return [problem for group in found for problem in group]
    return _string_problems(value, schema, path) if kind == "string" else []


def parameter_problems(method: Method, query: list[tuple[str, str]]) -> list[GoogleError]:
    """Everything in the query that the method does not take."""
    found = []
    seen: set[str] = set()
    for name, value in query:
        schema = method.parameters.get(name)
        if schema is None or schema.get("location") == "path":
            found.append(
                unknown_name(
                    f'Unknown name "{name}": Cannot bind query parameter. '
                    f"Field '{name}' could not be found in request message."
                )
            )
            continue
        if name in seen and not schema.get("repeated"):
            found.append(GoogleError(400, f"The parameter '{name}' is given twice.", "invalidParameter"))
        seen.add(name)
        found += _text_problems(value, schema, name)
    missing = [
        name
        for name, schema in method.parameters.items()
        if schema.get("required") and schema.get("location") == "query" and name not in seen
    ]
    return found + [GoogleError(400, f"Required parameter: {name}", "required") for name in missing]


def missing_fields(method: Method, body: dict[str, Any]) -> list[GoogleError]:
    """The fields that the document's annotations demand of this method."""
    properties = method.document.schemas[method.request or ""].get("properties", {})
    return [
        required(f"resource.{name}")
        for name, schema in properties.items()
        if method.id in schema.get("annotations", {}).get("required", ()) and not body.get(name)
    ]


def settable(value: Any, schema: dict[str, Any], document: Document) -> Any:
    """`value` without what only Google may set: it takes such a field and ignores it."""
    if "$ref" in schema:
        schema = document.schemas[schema["$ref"]]
    if isinstance(value, list):
        return [settable(item, schema.get("items", {}), document) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    fields = schema["properties"]
    return {
        name: settable(item, fields.get(name, {}), document)
        for name, item in value.items()
        if not _output_only(fields.get(name, {}))
    }


def _output_only(schema: dict[str, Any]) -> bool:
    return schema.get("readOnly", False) or schema.get("description", "").startswith(
        ("[Output Only]", "Output only.")
    )


def _object_problems(value: dict[str, Any], schema: dict[str, Any], document: Document, path: str) -> list:
    fields, others = schema.get("properties", {}), schema.get("additionalProperties")
    found: list[GoogleError] = []
    for name, item in value.items():
        inner = f"{path}.{name}" if path else name
        if name in fields:
            found += problems(item, fields[name], document, inner)
        elif isinstance(others, dict):
            found += problems(item, others, document, inner)
        else:
            found.append(unknown_name(f"Unknown name \"{name}\" at '{path}': Cannot find field."))
    return found


def _number_problems(value: Any, schema: dict[str, Any], path: str) -> list[GoogleError]:
    whole = schema["type"] == "integer"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return [_mistyped(path, schema["type"], value)]
    return _range_problems(value, schema, path)


def _string_problems(value: str, schema: dict[str, Any], path: str) -> list[GoogleError]:
    form = schema.get("format")
    if form in INTEGERS:
        if not re.fullmatch(r"-?\d+", value):
            return [_mistyped(path, f"string of {form}", value)]
        return _range_problems(int(value), schema, path)
    if "enum" in schema and value not in schema["enum"]:
        return [invalid(path, value, f"Must be one of: {', '.join(schema['enum'])}")]
    if "pattern" in schema and value and not re.fullmatch(schema["pattern"], value):
        return [invalid(path, value, f"Must be a match of regex '{schema['pattern']}'")]
    return []


def _range_problems(value: float, schema: dict[str, Any], path: str) -> list[GoogleError]:
    low, high = INTEGERS.get(schema.get("format", ""), (float("-inf"), float("inf")))
    low, high = max(low, float(schema.get("minimum", low))), min(high, float(schema.get("maximum", high)))
    return [] if low <= value <= high else [invalid(path, value, f"Must be between {low} and {high}")]


def _text_problems(value: str, schema: dict[str, Any], name: str) -> list[GoogleError]:
    """A parameter comes as text whatever its type."""
    kind = schema.get("type")
    if kind == "boolean":
        return [] if value in ("true", "false") else [_mistyped(name, "boolean", value)]
    if kind in ("integer", "number"):
        try:
            return _range_problems(int(value) if kind == "integer" else float(value), schema, name)
        except ValueError:
            return [_mistyped(name, kind, value)]
    return _string_problems(value, schema, name)


def _mistyped(path: str, kind: str, value: Any) -> GoogleError:
    return GoogleError(400, f"Invalid value at '{path}' (wanted {kind}), {value!r}", "invalid")
