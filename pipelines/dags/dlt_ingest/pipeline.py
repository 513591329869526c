"""Bring what is new of one REST resource into the warehouse. Runs in dlt's own Python environment.

Reads its task from SOURCE (JSON) in the environment, and the credentials of both sides from there too. The last line
that it prints is JSON: the rows that came, or why it failed. dlt keeps what it has seen in the warehouse, with the
rows and in the same transaction, so nothing on this machine has to outlive a run.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import dlt
from dlt.common.pipeline import LoadInfo
from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator
from dlt.sources.rest_api import RESTAPIConfig, rest_api_source

SECONDS = 30
"""To wait for one answer of the source."""
ATTEMPTS = 4
"""Of one request that fails on the way or with 429 or 5xx."""


class SourceGoesRound(Exception):
    """A link to the next page leads back to one that came before."""


class Pages(JSONLinkPaginator):  # type: ignore[misc]  # dlt is not here when types are looked at
    """Follows the links to the next page, none of them in a circle."""

    def init_request(self, request: Any) -> None:
        """Begin anew."""
        super().init_request(request)
        self._came: dict[str, int] = {}

    def update_state(self, response: Any, data: list[Any] | None = None) -> None:
        """Take the next link; refused where the same address has brought the same rows before.

        The address alone is not enough: a source may keep for itself how far it has come.

        Raises:
            SourceGoesRound: it would go on for ever.
        """
        rows = hash(json.dumps(data, sort_keys=True, default=str))
        if self._came.get(response.url) == rows:
            raise SourceGoesRound(
                f"the link to the next page leads back to {shown(response.url)}, which brought the same rows before"
            )
        self._came[response.url] = rows
        super().update_state(response, data)


def shown(url: str) -> str:
    """An address as it may be told: no login, and of its parameters the names, since one may be a key."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    names = "&".join(f"{name}=…" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return f"{parts.scheme}://{place}{parts.path}{'?' if names else ''}{names}"


def session(url: str) -> Any:
    """A session that talks to the source alone: a link to the next page may not take the token elsewhere."""
    parts = urlsplit(url)
    client = Client(request_timeout=SECONDS, request_max_attempts=ATTEMPTS).session
    adapter = client.get_adapter(url)
    client.adapters.clear()
    client.mount(f"{parts.scheme}://{parts.netloc}/", adapter)
    return client


def configuration(source: dict[str, str], token: str | None) -> RESTAPIConfig:
    """One resource: what changed since the last run, every page of it, a row for each key."""
    client: dict[str, Any] = {"base_url": source["url"].rstrip("/") + "/", "session": session(source["url"])}
    if token:
        client["auth"] = {"type": "bearer", "token": token}
    endpoint: dict[str, Any] = {
        "path": source["resource"],
        "incremental": {"cursor_path": source["cursor"], "initial_value": source["first"]},
        "params": {source["since"]: "{incremental.start_value}"},
        "data_selector": source["rows"],
        "paginator": Pages(source["next"]),
    }
    return {
        "client": client,
        "resources": [
            {
                "name": source["resource"],
                "endpoint": endpoint,
                "primary_key": source["key"],
                "write_disposition": "merge",
                # A number that becomes a text is a source that has changed its mind: said, not stored beside it.
                "schema_contract": {"tables": "evolve", "columns": "evolve", "data_type": "freeze"},
            }
        ],
    }  # type: ignore[return-value]


def run(source: dict[str, str], token: str | None) -> LoadInfo:
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            f"rest_{source['resource']}", destination="postgres", dataset_name="landing", pipelines_dir=folder
        )
        info = pipeline.run(rest_api_source(configuration(source, token), name=f"rest_{source['resource']}"))
        info.raise_on_failed_jobs()
        counted = pipeline.last_trace.last_normalize_info
        rows = dict(counted.row_counts) if counted else {}
        print(json.dumps({"rows": rows.get(source["resource"], 0)}))
        return info


def cause(error: BaseException) -> str:
    """The first thing that went wrong, in one line: dlt wraps it several times."""
    while inner := (error.__cause__ or error.__context__):
        error = inner
    return " ".join(f"{type(error).__name__}: {error}".split())[:1000]


def main() -> int:
    # Taken out of the environment: dlt writes some of what it finds there into its traces.
    token = os.environ.pop("SOURCE_TOKEN", None)
    try:
        run(json.loads(os.environ["SOURCE"]), token)
    except Exception as error:  # whatever it was, the task says it in one line instead of dlt's pages
        print(json.dumps({"error": cause(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
