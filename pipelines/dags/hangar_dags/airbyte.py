"""Run a sync of Airbyte from a DAG, without a worker that waits for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
from airbyte_api.errors import AirbyteAPIError
from airbyte_api.models import JobResponse
from airflow.sdk import Asset, AssetAlias, BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowException, AirflowSensorTimeout

from hangar_dags.airbyte_api import ENDED, Airbyte, moment, status_of

SYNCED = AssetAlias("airbyte_sync")
"""Every sync that succeeds is an event of this alias, and of the asset of its connection (`synced`)."""
JOB = "airbyte_job"
CONNECTION = "airbyte_connection"
"""The id of the connection that the kept job is of."""
REFUSED = "airbyte_refused"
REFUSALS = 4
"""Looks in a row that Airbyte may refuse before the secret counts as wrong: about half a minute."""


def synced(connection: str) -> Asset:
    """The asset that a sync of the connection of this name brings up to date: `schedule=[synced("faker")]`."""
    return Asset(f"airbyte.{connection}")


def refusal(error: Exception) -> tuple[int, str]:
    """The status of an answer that is none, and what it says; 0 where the error is of another kind."""
    if isinstance(error, AirbyteAPIError):
        return error.status_code, error.body[:500]
    # The client raises nothing more exact where it asks for a token.
    found = re.fullmatch(r"Unexpected status code (\d+) from token endpoint", str(error))
    return (int(found[1]), "no token for this client") if found else (0, "")


class AirbyteSync(BaseSensorOperator):
    """Start a sync, look at it now and then, and fail with Airbyte's own message.

    Between two looks the task holds no worker (mode reschedule). The job's number is kept with the task, so that a
    look, or a try after a kill, goes on with the same job; a try after a failed job starts a new one. So does a look
    that finds the job lost: Airbyte was restored from a backup, and its number is nobody's or another connection's
    now. Airbyte that does not answer for a while is asked again until `timeout`; then the job is cancelled.

    The provider's own operator is not used: it knows no `queued`, tells no reason, and its trigger blocks the
    triggerer while Airbyte hangs.

    :param connection: Airbyte's connection by name or id.
    :param airbyte_conn_id: Airflow's connection to Airbyte.
    """

    template_fields: Sequence[str] = ("connection", "airbyte_conn_id")

    def __init__(self, *, connection: str, airbyte_conn_id: str = "airbyte_default", **kwargs: Any) -> None:
        kwargs.setdefault("timeout", timedelta(hours=6))
        kwargs.setdefault("retries", 2)
        kwargs.setdefault("retry_delay", timedelta(minutes=1))
        # Often at first, because most syncs are short; each look is a process.
        kwargs = {
            "poke_interval": 5,
            "exponential_backoff": True,
            "max_wait": 20,
            "outlets": [SYNCED],
            **kwargs,
        }
        super().__init__(mode="reschedule", **kwargs)
        self.connection = connection
        self.airbyte_conn_id = airbyte_conn_id

    def execute(self, context: Any) -> Any:
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            self._give_up(context["task_state_store"])
            raise

    def _give_up(self, kept: Any) -> None:
        """Cancel the job. Airbyte that does not answer to that either must not hide that the time is up."""
        try:
            airbyte = Airbyte(self.airbyte_conn_id)
            if job := self._kept_job(airbyte, kept):
                kept.delete(JOB)
                airbyte.cancel(int(job.job_id))
        except Exception as error:
            if not isinstance(error, httpx.TransportError) and not refusal(error)[0]:
                raise
            self.log.warning("The job could not be cancelled (%s); the next sync joins it", error)

    def poke(self, context: Any) -> PokeReturnValue | bool:
        """Start the sync or look at it once.

        Raises:
            AirflowException: the job failed or was cancelled.
        """
        try:
            found = self._look(context)
        except httpx.TransportError as error:
            self.log.warning("Airbyte does not answer (%s); asked again later", type(error).__name__)
            return False
        except Exception as error:
            status, said = refusal(error)
            if not status:
                raise
            if not self._may_pass(context, status):
                raise AirflowException(f"Airbyte answers {status}: {said}") from error
            self.log.warning("Airbyte answers %s; asked again later", status)
            return False
        context["task_state_store"].delete(REFUSED)
        return found

    def _may_pass(self, context: Any, status: int) -> bool:
        """Whether an answer of this status may be another one at the next look."""
        if status != httpx.codes.UNAUTHORIZED:
            # 409: somebody else started a sync in between, which the next look joins.
            return status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.CONFLICT
        # The client's secret is made anew now and then, and for a moment one end has the new one.
        kept = context["task_state_store"]
        looks = int(kept.get(REFUSED) or 0) + 1
        if looks < REFUSALS:
            kept.set(REFUSED, looks)
            return True
        kept.delete(REFUSED)  # a later try has its own
        return False

    def _look(self, context: Any) -> PokeReturnValue | bool:
        airbyte, kept = Airbyte(self.airbyte_conn_id), context["task_state_store"]
        job = self._kept_job(airbyte, kept)
        if job is None:
            connection = airbyte.connection(self.connection)
            kept.set(CONNECTION, connection.connection_id)
            kept.set(JOB, airbyte.start(connection.connection_id))
            return False
        status = status_of(job)
        self.log.info("Airbyte's job %s: %s, %s rows", job.job_id, status, job.rows_synced)
        if status not in ENDED:
            return False
        kept.delete(JOB)  # a later try is another sync
        if status == "succeeded":
            return PokeReturnValue(True, self._succeeded(context, airbyte, job))
        raise AirflowException(
            f"Airbyte's job {job.job_id} of the connection {self.connection} {status}:"
            f" {airbyte.failure(int(job.job_id))}"
        )

    def _kept_job(self, airbyte: Airbyte, kept: Any) -> JobResponse | None:
        """The job that an earlier look started; nothing where there is none, or none any more."""
        found = kept.get(JOB)
        if not found:
            return None
        job = airbyte.job(int(found))
        # A job that was kept before its connection was: the connection is looked up.
        of = kept.get(CONNECTION) or airbyte.connection(self.connection).connection_id
        if job and job.connection_id == of:
            return job
        lost = "is another connection's" if job else "is not known to Airbyte any more"
        self.log.warning("The job %s %s: Airbyte was restored, or made anew", found, lost)
        kept.delete(JOB)
        return None

    def _succeeded(self, context: Any, airbyte: Airbyte, job: Any) -> dict[str, Any]:
        name = airbyte.connection(job.connection_id).name
        result = {
            "job_id": int(job.job_id),
            "connection": name,
            "rows": int(job.rows_synced or 0),
            "bytes": int(job.bytes_synced or 0),
            "started": moment(job.start_time).isoformat(),
        }
        context["outlet_events"][SYNCED].add(synced(name), extra=result)
        return result
