"""Airbyte's public API as DAGs need it, through the client that Airflow's provider makes from a connection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

import httpx
from airbyte_api.api import (
    CancelJobRequest,
    GetConnectionRequest,
    GetJobRequest,
    ListConnectionsRequest,
    ListJobsRequest,
)
from airbyte_api.errors import AirbyteAPIError
from airbyte_api.models import ConnectionResponse, JobCreateRequest, JobResponse, JobTypeEnum
from airflow.providers.airbyte.hooks.airbyte import AirbyteHook
from airflow.sdk.exceptions import AirflowFailException

ENDED = {"succeeded", "failed", "cancelled"}
"""Statuses that do not change any more. `incomplete` does: Airbyte tries again by itself; `queued` waits for room."""
PAGE = 100
"""Most entries that Airbyte puts into one answer."""


class Airbyte:
    """One Airbyte, by the name of Airflow's connection to it."""

    def __init__(self, conn_id: str) -> None:
        self.hook = AirbyteHook(airbyte_conn_id=conn_id)
        self.api = self.hook.airbyte_api

    def connections(self) -> Iterator[ConnectionResponse]:
        """All connections, page after page."""
        for offset in range(0, 100 * PAGE, PAGE):
            answer = self.api.connections.list_connections(
                request=ListConnectionsRequest(limit=PAGE, offset=offset)
            )
            page = answer.connections_response.data
            yield from page
            if len(page) < PAGE:
                return

    def connection(self, wanted: str) -> ConnectionResponse:
        """The connection of this id or this name.

        Raises:
            AirflowFailException: there is none, or several have the name; trying again would not help.
        """
        if is_id(wanted):
            try:
                return self.api.connections.get_connection(
                    request=GetConnectionRequest(connection_id=wanted)
                ).connection_response
            except AirbyteAPIError as error:
                if error.status_code == httpx.codes.NOT_FOUND:
                    raise AirflowFailException(f"Airbyte has no connection with the id {wanted}.") from error
                raise
        return only_one(wanted, list(self.connections()))

    def active_job(self, connection_id: str) -> int | None:
        """The sync of a connection that waits or runs."""
        answer = self.api.jobs.list_jobs(
            request=ListJobsRequest(
                connection_id=connection_id, job_type=JobTypeEnum.SYNC, limit=PAGE, order_by="createdAt|DESC"
            )
        )
        found = [job.job_id for job in answer.jobs_response.data if status_of(job) not in ENDED]
        return found[0] if found else None

    def start(self, connection_id: str) -> int:
        """Start a sync, or join the one that runs: Airbyte runs one of a connection at a time.

        A sync that a killed try has left behind is so carried on instead of failing the next one.
        """
        running = self.active_job(connection_id)
        if running is not None:
            return running
        request = JobCreateRequest(connection_id=connection_id, job_type=JobTypeEnum.SYNC)
        return int(self.api.jobs.create_job(request=request).job_response.job_id)

    def job(self, job_id: int) -> JobResponse | None:
        """The job of this number; nothing where Airbyte has none."""
        try:
            return self.api.jobs.get_job(request=GetJobRequest(job_id=job_id)).job_response
        except AirbyteAPIError as error:
            if error.status_code == httpx.codes.NOT_FOUND:
                return None
            raise

    def cancel(self, job_id: int) -> None:
        self.api.jobs.cancel_job(request=CancelJobRequest(job_id=job_id))

    def failure(self, job_id: int) -> str:
        """Why a job ended as it did, in Airbyte's words, or where to look.

        The embedded engine says so with the job. Airbyte's public API tells no reason; the API of its pages does.
        """
        answer = self.api.jobs.get_job(request=GetJobRequest(job_id=job_id)).raw_response.json()
        if answer.get("failureReason"):
            return str(answer["failureReason"])
        try:
            said = reason(self._attempts(job_id))
        except (httpx.HTTPError, ValueError) as error:
            self.hook.log.warning(
                "Airbyte's pages' API refuses to tell the reason (%s)", type(error).__name__
            )
            said = ""
        return said or f"it gives no reason here; its log of job {job_id} does"

    def _attempts(self, job_id: int) -> list[dict[str, Any]]:
        host = self.hook.conn["host"].rstrip("/")
        timeout = float(self.hook.conn["timeout"] or 10)
        with httpx.Client(timeout=timeout) as client:
            headers = {}
            if self.hook.conn["client_id"]:
                granted = client.post(
                    urljoin(host, self.hook.conn["token_url"]),
                    json={
                        "client_id": self.hook.conn["client_id"],
                        "client_secret": self.hook.conn["client_secret"],
                        "grant_type": "client_credentials",
                    },
                ).raise_for_status()
                headers = {"Authorization": f"Bearer {granted.json()['access_token']}"}
            answer = client.post(
                urljoin(host, "/api/v1/jobs/get_without_logs"), json={"id": job_id}, headers=headers
            ).raise_for_status()
            return list(answer.json().get("attempts") or [])


def is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def only_one(name: str, connections: list[ConnectionResponse]) -> ConnectionResponse:
    """The one connection with this name.

    Raises:
        AirflowFailException: there is none, or more than one.
    """
    found = [connection for connection in connections if connection.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(connection.connection_id for connection in found)
        raise AirflowFailException(
            f"Airbyte has {len(found)} connections named {name}; give the id of one: {ids}."
        )
    known = ", ".join(sorted(connection.name for connection in connections)) or "none at all"
    raise AirflowFailException(f"Airbyte has no connection named {name}. It has: {known}.")


def status_of(job: JobResponse) -> str:
    return str(getattr(job.status, "value", job.status))


def reason(attempts: list[dict[str, Any]]) -> str:
    """What Airbyte says of the newest attempt that failed."""
    for attempt in reversed(attempts):
        summary = (attempt.get("attempt") or {}).get("failureSummary") or {}
        said = [
            failure.get("externalMessage") or failure.get("internalMessage") or ""
            for failure in summary.get("failures") or []
        ]
        if any(said):
            return "; ".join(dict.fromkeys(text.strip() for text in said if text.strip()))
    return ""


def moment(text: str) -> datetime:
    """A point in time as Airbyte writes it; without a zone it means UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
