"""Airbyte's public API v1 in the words of the records. Everything goes through the machine's end of the session."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from hangar.airbyte.records import KINDS, Entry, Found, Kind, Wanted, World
from hangar.airbyte.session import Session
from hangar.airbyte.wanted import found_fields
from hangar.errors import HangarError

PAGE = 100
"""The most that one page of a list holds (the API's own limit)."""


class Client:
    """One session with one workspace."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._workspace = ""

    def open(self, workspace: str | None, who: str = "") -> None:
        """Begins; with `who` as the only one that changes something. Chooses the workspace.

        Raises:
            LockHeld: another apply is at work.
            HangarError: there is no such workspace, or several and none is named.
        """
        self._session.ask("open", "to begin", who=who)
        found = self._list("workspaces")
        named = [one for one in found if workspace in (None, one["name"])]
        if len(named) != 1:
            raise _no_workspace(workspace, sorted(str(one["name"]) for one in found))
        self._workspace = str(named[0]["workspaceId"])

    def world(self) -> World:
        """What Airbyte holds now, and the machine's record of what is ours."""
        found = [_found(kind, answer) for kind in KINDS for answer in self._list(f"{kind}s", self._workspace)]
        entries = self._session.ask("entries", "to read the record")
        return World(self._workspace, tuple(found), {key: _entry(one) for key, one in entries.items()})

    def secrets(self, wanted: Sequence[Wanted]) -> dict[str, dict[str, str]]:
        """`kind/name` → field → same, changed or missing."""
        references = {one.key: one.references for one in wanted if one.references}
        return dict(self._session.ask("secrets", "to look for secrets", references=references))

    def streams(self, source: str, destination: str | None = None) -> list[dict[str, Any]]:
        """What a source offers. Asks the source itself: its connector starts, and has to reach what it reads."""
        query = {
            "sourceId": source,
            **({"destinationId": destination} if destination else {}),
            "ignoreCache": "true",
        }
        answer = self._session.ask(
            "get", "to ask the source for its streams", path=f"/streams?{urlencode(query)}", slow=True
        )
        return list(answer["data"] if isinstance(answer, dict) else answer)

    def failing(self, destination: str) -> str:
        """Why a destination's connector fails, or nothing. Starts the connector, unless the engine had checked it when
        it was made.
        """
        answer = self._session.ask("check", "to check the destination", destination=destination)
        if answer is None or answer["status"] == "succeeded":
            return ""
        return str(answer["message"]) or "Airbyte says no more"

    def create(self, one: Wanted, name: str, before: Sequence[str], ends: Mapping[str, str]) -> str:
        """Makes a resource under `name` and returns its id. `before` are the ids that have the name already;
        `ends` are sourceId and destinationId of a connection.
        """
        place = {"workspaceId": self._workspace} if one.kind != "connection" else dict(ends)
        answer = self._session.ask(
            "write", f"to make the {one.kind} {name}", kind=one.kind, name=name, method="POST",
            path=f"/{one.kind}s", body={**one.body, **place, "name": name}, before=list(before),
            declared=dict(one.fields), references=one.references,
        )  # fmt: skip
        return str(answer[f"{one.kind}Id"])

    def update(self, one: Wanted, id: str) -> None:
        """Makes a resource what is wanted. PUT replaces a whole configuration, so that what left the files leaves."""
        self._session.ask(
            "write", f"to change the {one.kind} {one.name}", kind=one.kind, name=one.name,
            method="PATCH" if one.kind == "connection" else "PUT", path=f"/{one.kind}s/{id}",
            body=dict(one.body), declared=dict(one.fields), references=one.references,
        )  # fmt: skip

    def delete(self, kind: Kind, name: str, id: str) -> None:
        """Removes a resource of ours and its record; without an id only the record."""
        path = f"/{kind}s/{id}" if id else ""
        self._session.ask("delete", f"to remove the {kind} {name}", kind=kind, name=name, path=path)

    def note(self, kind: Kind, name: str, id: str) -> None:
        """Records that a resource is ours."""
        self._session.ask("note", f"to record the {kind} {name}", kind=kind, name=name, id=id)

    def keep(self, name: str, value: str) -> None:
        """Keeps a secret on the machine, for the files to name."""
        self._session.ask("open", "to begin")
        self._session.ask("keep", f"to keep {name}", name=name, value=value)

    def _list(self, path: str, workspace: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        seen: set[str] = set()
        while True:
            query = {
                "limit": PAGE,
                "offset": len(found),
                **({"workspaceIds": workspace} if workspace else {}),
            }
            # An engine that has its records back from a backup fetches their connectors before it shows them.
            listed = f"/{path}?{urlencode(query)}"
            page = self._session.ask("get", f"to list {path}", path=listed, slow=True)["data"]
            fresh = [one for one in page if str(one[_id(path)]) not in seen]
            found += fresh
            seen |= {str(one[_id(path)]) for one in fresh}
            # A server that ignores `offset` would answer the same for ever.
            if len(page) < PAGE or not fresh:
                return found


def _id(path: str) -> str:
    return f"{path.removesuffix('s')}Id"


def _found(kind: Kind, answer: Mapping[str, Any]) -> Found:
    if kind == "connection":
        fixed = {"source": str(answer["sourceId"]), "destination": str(answer["destinationId"])}
    else:
        fixed = {"connector": str(answer[f"{kind}Type"]).removeprefix(f"{kind}-")}
    return Found(kind, str(answer["name"]), str(answer[f"{kind}Id"]), fixed, found_fields(kind, answer))


def _entry(entry: Mapping[str, Any]) -> Entry:
    return Entry(entry["id"], tuple(entry.get("before", ())), entry.get("declared", {}))


def _no_workspace(wanted: str | None, there: Sequence[str]) -> HangarError:
    names = ", ".join(there) or "none"
    if wanted is None:
        return HangarError(
            f"Airbyte has {len(there)} workspaces, and the files name none.", f"* There are: {names}",
            "Name one in pipelines/airbyte.yml: workspace: NAME",
        )  # fmt: skip
    return HangarError(
        f"Airbyte has no workspace {wanted}, or several.", f"* There are: {names}",
        "Name another in pipelines/airbyte.yml: workspace: NAME",
    )  # fmt: skip
