"""Google's discovery documents: which methods there are, at which path, with which parameters."""

import json
import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

APIS = (
    "compute.v1",
    "iam.v1",
    "cloudresourcemanager.v3",
    "serviceusage.v1",
    "cloudresourcemanager.v1",
    "storage.v1",
    "secretmanager.v1",
    "monitoring.v3",
    "monitoring.v1",
    "cloudkms.v1",
)
"""What is served, in the order in which a path is looked up. They meet nowhere that Hangar goes."""

PLACE = re.compile(r"\{(\+?)(\w+)\}")


@dataclass(frozen=True)
class Document:
    api: str
    schemas: dict[str, Any]
    parameters: dict[str, Any]
    """The parameters that every method of the API takes (alt, fields, prettyPrint, …)."""


@dataclass(frozen=True)
class Method:
    """One method of one API."""

    id: str
    http: str
    path: str
    """With its places, from the root of the server: compute/v1/projects/{project}/…"""
    parameters: dict[str, Any] = field(repr=False)
    request: str | None
    response: str | None
    document: Document = field(repr=False)
    upload: bool = False
    """It is the upload form of the method: the body is the object's content."""

    @property
    def api(self) -> str:
        return self.document.api.split(".")[0]

    @property
    def begins_operation(self) -> bool:
        """Whether it begins work of Compute Engine; to look at an operation begins none."""
        return self.api == "compute" and self.response == "Operation" and "Operations." not in self.id

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(PLACE.sub(self._place, self.path.replace(".", r"\.")))

    def _place(self, found: re.Match[str]) -> str:
        name = found[2]
        if not found[1]:
            return f"(?P<{name}>[^/]+)"
        shape = self.parameters[name].get("pattern", "^.+$").removeprefix("^").removesuffix("$")
        # A colon begins the verb that follows a name: projects/p:getIamPolicy.
        return f"(?P<{name}>{shape.replace('[^/]', '[^/:]')})"

    def match(self, path: str) -> dict[str, str] | None:
        found = self.pattern.fullmatch(path)
        return {name: unquote(value) for name, value in found.groupdict().items()} if found else None


class Catalog:
    """Every method of the served APIs, found by HTTP method and path, or by id."""

    def __init__(self) -> None:
        self.by_id: dict[str, Method] = {}
        self._by_shape: dict[tuple[str, int], list[Method]] = {}
        self._free: dict[str, list[Method]] = {}
        for api in APIS:
            for method in _read(api):
                self.by_id.setdefault(method.id, method)
                self._file(method)

    def find(self, http: str, path: str) -> tuple[Method, dict[str, str]] | None:
        """The method at a path (still percent-encoded, without its first slash) and the values of its places."""
        for method in (*self._by_shape.get((http, path.count("/")), ()), *self._free.get(http, ())):
            values = method.match(path)
            if values is not None:
                return method, values
        return None

    def _file(self, method: Method) -> None:
        if "{+" in method.path:
            self._free.setdefault(method.http, []).append(method)
        else:
            self._by_shape.setdefault((method.http, method.path.count("/")), []).append(method)


@cache
def catalog() -> Catalog:
    return Catalog()


def _read(api: str) -> list[Method]:
    folder = files("googleapiclient.discovery_cache") / "documents"
    raw = json.loads((folder / f"{api}.json").read_text(encoding="utf-8"))
    document = Document(api, raw["schemas"], raw["parameters"])
    found: list[Method] = []
    for described in _methods(raw):
        found.append(_method(described, document, raw["servicePath"] + described["path"]))
        simple = described.get("mediaUpload", {}).get("protocols", {}).get("simple")
        if simple:
            found.insert(-1, _method(described, document, simple["path"].lstrip("/"), upload=True))
    # The longer a path's fixed part, the more exactly it was meant.
    return sorted(found, key=lambda method: -len(PLACE.sub("", method.path)))


def _methods(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(resource.get("methods", {}).values())
    for child in resource.get("resources", {}).values():
        found += _methods(child)
    return found


def _method(raw: dict[str, Any], document: Document, path: str, *, upload: bool = False) -> Method:
    return Method(
        id=raw["id"] if document.api != "cloudresourcemanager.v1" else f"{raw['id']}.v1",
        http=raw["httpMethod"],
        path=path,
        parameters={**document.parameters, **raw.get("parameters", {})},
        request=raw.get("request", {}).get("$ref"),
        response=raw.get("response", {}).get("$ref"),
        document=document,
        upload=upload,
    )
