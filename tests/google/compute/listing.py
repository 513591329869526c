"""Lists: filtered, sorted by name, and in pages."""

import base64
import re
from typing import Any

from tests.google.compute import link
from tests.google.errors import GoogleError, invalid
from tests.google.state import shown
from tests.google.world import Call

LARGEST_PAGE = 500
TERM = re.compile(
    r"""\(?\s*(?P<field>[\w.-]+)\s*(?P<operator>!=|=|:|\beq\b|\bne\b)\s*(?P<value>"[^"]*"|[^\s()]+)\s*\)?"""
)


def page(call: Call, kind: str, folder: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """A list of the resources that the call's filter lets through."""
    items, token = _cut(call, _filtered(call, found))
    answer: dict[str, Any] = {"kind": kind, "id": folder, "selfLink": link(folder)}
    if items:
        answer["items"] = items
    return answer | ({"nextPageToken": token} if token else {})


def scoped_page(call: Call, kind: str, collection: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """An aggregated list: the same by zone, region or global."""
    items, token = _cut(call, _filtered(call, found))
    scopes: dict[str, Any] = {}
    for item in items:
        place = item.get("zone") or item.get("region") or "global"
        scope = "/".join(place.split("/")[-2:]) if "/" in place else place
        scopes.setdefault(scope, {collection: []})[collection].append(item)
    folder = f"projects/{call.project}/aggregated/{collection}"
    answer = {"kind": kind, "id": folder, "selfLink": link(folder), "items": scopes}
    return answer | ({"nextPageToken": token} if token else {})


def matches(resource: dict[str, Any], text: str) -> bool:
    """Whether a resource passes a filter: terms joined by AND, or in brackets side by side."""
    rest = re.sub(r"\bAND\b", " ", text).strip()
    if re.search(r"\bOR\b|\bNOT\b", rest):
        raise _not_imitated(text)
    position = 0
    while position < len(rest):
        term = TERM.match(rest, position)
        if term is None:
            raise invalid("filter", text, "Invalid list filter expression.")
        if not _holds(resource, term["field"], term["operator"], term["value"].strip('"')):
            return False
        position = term.end()
        while position < len(rest) and rest[position].isspace():
            position += 1
    return True


def _holds(resource: dict[str, Any], field: str, operator: str, wanted: str) -> bool:
    value: Any = resource
    for name in field.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    text = str(value).lower() if isinstance(value, bool) else value
    if operator == ":":
        return value is not None if wanted == "*" else text is not None and wanted in str(text)
    if operator in ("eq", "ne"):  # these two take a whole regular expression
        same = text is not None and re.fullmatch(wanted, str(text)) is not None
    else:
        same = text is not None and str(text) == wanted
    return same == (operator in ("=", "eq"))


def _filtered(call: Call, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    text = call.values.get("filter", "")
    kept = [shown(resource) for resource in found if not text or matches(resource, text)]
    order = call.values.get("orderBy", "name")
    if order == "creationTimestamp desc":
        return sorted(kept, key=lambda item: (item["creationTimestamp"], int(item["id"])), reverse=True)
    if order != "name":
        raise invalid("orderBy", order, "Only name and creationTimestamp desc are supported.")
    return sorted(kept, key=lambda item: str(item["name"]))


def _cut(call: Call, items: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    size = min(int(call.values.get("maxResults", LARGEST_PAGE)), LARGEST_PAGE)
    start = 0
    if call.values.get("pageToken"):
        try:
            start = int(base64.urlsafe_b64decode(call.values["pageToken"]))
        except ValueError:
            raise invalid("pageToken", call.values["pageToken"], "It is not a token of ours.") from None
    end = start + size
    return items[start:end], base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else ""


def _not_imitated(text: str) -> GoogleError:
    return GoogleError(501, f"The stand-in reads no OR or NOT in a filter: {text}", "notImplemented")
