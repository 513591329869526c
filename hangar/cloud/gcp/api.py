"""Calls of Google's APIs in their REST form: one client for Compute, IAM, Resource Manager and Storage.

Google's own client for Compute takes two seconds to be loaded, which every `plan` would pay, and waits for operations
at another address than the one it was given; the bodies are judged by its types in the tests.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hangar.cloud.gcp import endpoint
from hangar.cloud.gcp.credentials import Failures, Session
from hangar.cloud.gcp.errors import NotReady, NotThere, Refusal, read, read_operation, translate
from hangar.errors import CloudError, HangarError

Body = dict[str, Any]
Params = Mapping[str, str | Sequence[str]]

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 16.0)
"""Seconds before another try of what can pass; up to as much again by chance, so that many do not come at once."""

PASSING = (429, 500, 502, 503, 504)
CONNECT, ANSWER, WAIT = 10.0, 60.0, 150.0
"""Seconds to connect, for an answer, and for the answer of `wait`, which Google holds back for up to 120."""

PATIENCE = 900.0
"""Seconds that an operation may take."""

PATHS = {"compute": "compute/v1/", "storage": "storage/v1/", "upload": "upload/storage/v1/"}


class Api:
    """`project` is where everything happens; `where` an endpoint in place of Google's."""

    def __init__(self, project: str, where: str | None = None, session: Session | None = None) -> None:
        self.project, self._where, self._session = project, where, session
        self.sleep: Callable[[float], None] = time.sleep

    @property
    def session(self) -> Session:
        """Credentials are looked for when they are first needed."""
        if self._session is None:
            endpoint.base(self._where, "compute")  # before a token is fetched for a host that may not have it
            self._session = Session(self.project)
        return self._session

    def call(
        self, method: str, api: str, path: str, body: Body | None = None, params: Params | None = None, *,
        content: bytes | None = None, patience: float = ANSWER,
    ) -> Body:  # fmt: skip
        """The answer of one method. What can pass is tried again; what was asked must bear being asked twice.

        Raises:
            GoogleRefused: one of its kinds; HangarError: the host may not have our credentials.
        """
        return self._answer(method, api, path, body, content, patience, params or {}).json()

    def content(self, api: str, path: str) -> bytes:
        """The content of an object."""
        return self._answer("GET", api, path, None, None, ANSWER, {"alt": "media"}).content

    def _answer(
        self, method: str, api: str, path: str, body: Body | None, content: bytes | None, patience: float,
        params: Params,
    ) -> "_Answer":  # fmt: skip
        address = endpoint.base(self._where, "storage" if api == "upload" else api)
        url = f"{address}/{PATHS.get(api, '')}{path}"
        place = f"{method} {api} {path.partition('?')[0]}"
        for pause in (*PAUSES, None):
            failure: HangarError
            try:
                got = self.session.request(method, url, params, body, content, (CONNECT, patience))
            except Failures as error:
                failure = _silent(address, error)
            else:
                if got.status_code < 300:
                    return _Answer(got.content)
                refusal = read(self.project, place, got.status_code, _decoded(got.content))
                failure = translate(refusal)
                if not _passes(refusal, failure):
                    raise failure
            if pause is None:
                raise failure
            self.sleep(pause + random.uniform(0, pause))
        raise AssertionError("the last try returns or raises")

    def find(self, api: str, path: str, params: Params | None = None) -> Body | None:
        """What is there, or None."""
        try:
            return self.call("GET", api, path, params=params)
        except NotThere:
            return None

    def items(self, path: str, params: Params | None = None) -> list[Body]:
        """Every item of a list of Compute's, over all its pages. An aggregated list comes flat."""
        found: list[Body] = []
        token = ""
        while True:
            paged = {**(params or {}), **({"pageToken": token} if token else {})}
            page = self.call("GET", "compute", path, params=paged)
            items = page.get("items") or []
            if isinstance(items, dict):
                kind = path.rpartition("/")[2]
                items = [one for scope in items.values() for one in scope.get(kind, ())]
            found += items
            token = page.get("nextPageToken", "")
            if not token:
                return found

    def begin(self, method: str, path: str, body: Body | None = None, params: Params | None = None) -> Body:
        """Starts work in Compute and returns its operation. Asked twice (a lost answer, say) it is done once: every
        try carries the same request id.
        """
        return self.call(method, "compute", path, body, {**(params or {}), "requestId": str(uuid.uuid4())})

    def finish(self, operation: Body, limit: float = PATIENCE) -> None:
        """Returns when the work is done.

        Raises:
            GoogleRefused: it ended in an error. CloudError: it takes longer than `limit` seconds; names it.
        """
        until = time.monotonic() + limit
        place = f"{operation.get('operationType')} {last(operation.get('targetLink', ''))}"
        while operation.get("status") != "DONE":
            if time.monotonic() > until:
                raise self._endless(operation, place, limit)
            operation = self.call("POST", "compute", f"{self.place_of(operation)}/wait", patience=WAIT)
        if operation.get("error"):
            raise translate(read_operation(self.project, place, operation))

    def do(self, method: str, path: str, body: Body | None = None, params: Params | None = None) -> None:
        """Starts work in Compute and waits for its end."""
        self.finish(self.begin(method, path, body, params))

    def place_of(self, operation: Body) -> str:
        """Its path; the address that it gives for itself is Google's, whatever endpoint we use."""
        for scope in ("zone", "region"):
            if operation.get(scope):
                return f"{self.root}/{scope}s/{last(operation[scope])}/operations/{operation['name']}"
        return f"{self.root}/global/operations/{operation['name']}"

    @property
    def root(self) -> str:
        return f"projects/{self.project}"

    def _endless(self, operation: Body, place: str, limit: float) -> CloudError:
        scope = next(
            (f"--{name}={last(operation[name])}" for name in ("zone", "region") if operation.get(name)),
            "--global",
        )
        name = operation["name"]
        return CloudError(
            f"Google has been at work for {limit / 60:.0f} minutes on: {place}.",
            f"* The operation: {name}",
            f"Look at it: gcloud compute operations describe {name} {scope} --project {self.project}"
            "\nThen run the same command again: it goes on from there.",
        )


class _Answer:
    """A body that may be empty (Storage's deletions)."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def json(self) -> Body:
        found = _decoded(self.content)
        return found if isinstance(found, dict) else {}


def last(link: str) -> str:
    """The name at the end of a link."""
    return link.rpartition("/")[2]


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content) if content else {}
    except ValueError:
        return {"error": {"message": content[:500].decode(errors="replace")}}


def _passes(refusal: Refusal, failure: HangarError) -> bool:
    """Whether the same call may succeed a little later."""
    limited = refusal.status == 403 and refusal.reason in ("rateLimitExceeded", "userRateLimitExceeded")
    return refusal.status in PASSING or limited or isinstance(failure, NotReady)


def _silent(address: str, error: Exception) -> CloudError:
    return CloudError(
        f"Google's API does not answer at {address}.",
        f"* {type(error).__name__}: {str(error)[:300]}",
        "Look at this computer's network (and gcp.api_endpoint), then run the same command again.",
    )
