"""One call from its HTTP form to its answer: found, checked, allowed, done, checked again."""

import inspect
import json
from typing import Any

from tests.google import operations, permissions
from tests.google.compute.images import PUBLIC_PROJECT
from tests.google.discovery import Method
from tests.google.errors import GoogleError
from tests.google.partial import masked
from tests.google.schema import missing_fields, parameter_problems, problems, settable
from tests.google.world import HANDLERS, Answer, Call, World


def build(
    world: World,
    method: Method,
    values: dict[str, str],
    query: list[tuple[str, str]],
    raw: bytes,
    principal: str,
    content_type: str,
) -> tuple[Call, list[GoogleError]]:
    """The call, and everything that the discovery document has against it."""
    found = _path_problems(method, values) + parameter_problems(method, query)
    body: Any = {}
    if not method.upload and raw:
        body, more = _body(method, raw)
        found += more
    media = raw if method.upload else b""
    call = Call(world, method, values | dict(query), body, principal, media, content_type, query)
    if method.request and not method.upload:
        found += missing_fields(method, body)
        if not found:
            call.body = settable(body, {"$ref": method.request}, method.document)
    for problem in found:
        world.violation("request", method.id, problem.message)
    return call, found


async def answer(call: Call) -> Answer:
    """Does what the call asks.

    Raises:
        GoogleError: it may not be done.
    """
    world = call.world
    operations.settle(world)
    permissions.require_enabled(call)
    _require_project(call)
    target = target_of(call)
    permissions.require(call, permissions.needed(call), target)
    before = operations.repeated(call)
    if before is not None:
        return before
    permissions.require_policy(call, target)
    handler = HANDLERS.get(call.method.id)
    if handler is None:
        world.violation("not imitated", call.method.id, "The stand-in does not know this method.")
        raise GoogleError(501, f"{call.method.id} is not imitated by this stand-in.", "notImplemented")
    result = handler(call)
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, dict):
        _check_response(call, result)
        if call.values.get("fields"):
            return masked(result, call.values["fields"])
    return result


def target_of(call: Call) -> str:
    """What the call is about, as Compute writes it: projects/p/zones/z/instances/n."""
    if call.method.api != "compute":
        return next(
            (call.values[name] for name in ("name", "resource", "parent") if name in call.values),
            call.project,
        )
    place = call.method.path.removeprefix("compute/v1/")
    for name, value in call.values.items():
        place = place.replace(f"{{{name}}}", value)
    parts = place.split("/")
    verb = call.method.id.split(".")[-1]
    if verb == "insert" and call.body.get("name"):
        parts.append(str(call.body["name"]))
    elif verb in ("list", "aggregatedList", "insert"):
        parts = parts[:2]
    elif parts[-1] == verb:
        parts.pop()
    return "/".join(parts)


def project_known(world: World, project: str) -> bool:
    return project in world.state.table("projects")


def _require_project(call: Call) -> None:
    """Debian's images belong to a project that everybody may read."""
    project = call.project
    if not project or project_known(call.world, project):
        return
    if project == PUBLIC_PROJECT and call.method.id.startswith("compute.images."):
        return
    if call.method.api == "compute":
        raise GoogleError(404, f"Failed to find project {project}", "notFound")
    # Whoever may not see a project is not told whether it is there.
    raise GoogleError(403, f"Permission denied on resource project {project}.", "forbidden")


def _path_problems(method: Method, values: dict[str, str]) -> list[GoogleError]:
    found = []
    for name, value in values.items():
        found += [
            GoogleError(400, problem.message.replace("field", "path parameter"), "invalidParameter")
            for problem in problems(value, method.parameters[name], method.document, name)
        ]
    return found


def _body(method: Method, raw: bytes) -> tuple[dict[str, Any], list[GoogleError]]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        return {}, [GoogleError(400, f"Parse Error: {error}", "parseError")]
    if method.request is None:
        return {}, [GoogleError(400, f"{method.id} takes no body.", "badRequest")] if body else []
    if not isinstance(body, dict):
        return {}, [
            GoogleError(400, "Invalid JSON payload received. Root element must be a message.", "badRequest")
        ]
    return body, problems(body, {"$ref": method.request}, method.document, "resource")


def _check_response(call: Call, result: dict[str, Any]) -> None:
    if call.method.response is None:
        return
    found = problems(result, {"$ref": call.method.response}, call.method.document, "response")
    for problem in found:
        call.world.violation("response", call.method.id, problem.message)
    if found:
        raise GoogleError(
            500, f"The stand-in's answer is not what Google sends: {found[0].message}", "backendError"
        )
