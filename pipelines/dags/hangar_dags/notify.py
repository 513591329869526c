"""Tell people how a pipeline went: to Slack where the connection `notify_slack` exists, to the task's log otherwise."""

from __future__ import annotations

import logging
from typing import Any

import requests
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

CONNECTION = "notify_slack"
"""Its password is the address of an incoming webhook, which is a secret as a whole."""
SECONDS = 10
LONGEST = 3000
"""Characters that Slack shows of one text without folding it."""

log = logging.getLogger(__name__)


def tell(text: str) -> None:
    """Say it once. News that cannot be delivered fail no pipeline: the data are as they are."""
    try:
        webhook = BaseHook.get_connection(CONNECTION).password
    except AirflowNotFoundException:
        log.info("No connection %s, so this stays here: %s", CONNECTION, text)
        return
    try:
        requests.post(webhook, json={"text": literal(text[:LONGEST])}, timeout=SECONDS).raise_for_status()
    except requests.RequestException as error:
        # Its text would hold the address, which whoever knows it can post to.
        status = getattr(error.response, "status_code", "no answer")
        log.warning("Slack did not take it (%s, %s): %s", type(error).__name__, status, text)


def literal(text: str) -> str:
    """The text as it stands. News repeat the names of dropped files and the words of sources, and to Slack `<!channel>`
    is a call to everybody and `<https://…|…>` a link under a name of its own.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def tell_of_failure(context: Any) -> None:
    """For `on_failure_callback` of a task: called when its last try has failed."""
    task = context["ti"]
    tell(f":x: {task.dag_id}.{task.task_id} failed in {task.run_id}: {context.get('exception')}")
