# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""What Prometheus and Alertmanager know and are told, by the password that only root and the monitoring read."""

import base64
import http.client
import json
import math
import time
import urllib.parse
import urllib.request
from typing import Any

from hangar_bounds import web, whole

from .described import SCRAPER, SECRETS, Refused

TIMEOUT, MOST = 10.0, 16 << 20
"""Seconds for an answer, and bytes of it: services shape figures, and the memory is root's."""

LABELS = ("mountpoint", "pool", "user", "container", "path", "person")
"""What tells one value of a figure from another, for whoever shows them."""

OUTSIDE = 'device!~"lo|veth.*|docker.*|br-.*"'

FIGURES = {
    "cpu": "hangar_cpu_used_ratio",
    "memory": "hangar_memory_used_ratio",
    "swap": "hangar_swap_used_ratio",
    "load": "node_load5",
    "disk": 'hangar_disk_used_ratio{mountpoint=~"/|/srv"}',
    # Seconds until the file system is full at the pace of the last six hours; nothing where it does not fill up, or
    # where six hours have not been seen yet: a new machine fills with its own installation.
    "disk_full_in": 'node_filesystem_avail_bytes{mountpoint=~"/|/srv"}'
    ' / (-deriv(node_filesystem_avail_bytes{mountpoint=~"/|/srv"}[6h]) > 1024)'
    ' and max_over_time(node_filesystem_avail_bytes{mountpoint=~"/|/srv"}[30m] offset 330m)',
    "inodes": 'hangar_inodes_used_ratio{mountpoint=~"/|/srv"}',
    "cpu_pressure": "rate(node_pressure_cpu_waiting_seconds_total[5m])",
    "memory_pressure": "rate(node_pressure_memory_waiting_seconds_total[5m])",
    "disk_pressure": "rate(node_pressure_io_waiting_seconds_total[5m])",
    "network_in": f"sum(rate(node_network_receive_bytes_total{{{OUTSIDE}}}[1m]))",
    "network_out": f"sum(rate(node_network_transmit_bytes_total{{{OUTSIDE}}}[1m]))",
    "clock_off": "abs(node_timex_offset_seconds) and on () hangar_clock_kept == 1",
    "failed_units": "sum(hangar_units_failed)",
    "failed_logins": "increase(hangar_ssh_failed_logins_total[1h])",
    "certificate_ends_in": "hangar_certificate_expires_timestamp_seconds - time()",
    "key_ends_in": "hangar_key_expires_timestamp_seconds - time()",
    "container_memory": "hangar_container_memory_bytes",
    "security_updates": "hangar_security_updates_pending",
    "reboot_needed": "hangar_reboot_needed",
    "images_outdated": "time() - (hangar_images_outdated_since_timestamp_seconds > 0)",
    "images_waiting": "hangar_images_waiting == 1",
    "backup_age": "time() - hangar_backup_last_success_timestamp_seconds",
    "warehouse_bytes": "hangar_postgres_size_bytes",
    "warehouse_connections": "hangar_postgres_connections",
    "warehouse_connections_most": "hangar_postgres_max_connections",
    "warehouse_transaction": "hangar_postgres_oldest_transaction_seconds",
    "airflow_database_bytes": "hangar_airflow_database_size_bytes",
    "airflow_database_connections": "hangar_airflow_database_connections",
    "airflow_database_connections_most": "hangar_airflow_database_max_connections",
    "airflow_database_transaction": "hangar_airflow_database_oldest_transaction_seconds",
    "scheduler_beats": "60 * rate(airflow_scheduler_heartbeat[1m])",
    "parse_time": "airflow_dag_processing_total_parse_time",
    "import_errors": "airflow_dag_processing_import_errors",
    "queued_tasks": "airflow_executor_queued_tasks",
    "running_tasks": "airflow_executor_running_tasks",
    # One that began to count within the hour has counted nothing before.
    "failed_tasks": "airflow_ti_failures unless airflow_ti_failures offset 1h or increase(airflow_ti_failures[1h])",
    "pool_taken": 'sum by (pool) (airflow_pool_slots{state=~"running|queued"})',
    "pool_slots": 'sum by (pool) (airflow_pool_slots{state=~"open|running|queued"})',
    "airbyte_running": "hangar_airbyte_jobs_running",
    "airbyte_failed": "hangar_airbyte_jobs_failed_last_hour",
    "airbyte_longest": "hangar_airbyte_oldest_running_seconds",
}


def ask(described: dict[str, Any]) -> dict[str, Any]:
    """Alerts that fire, and the figures; raises Refused where Prometheus or Alertmanager does not answer."""
    base = f"http://127.0.0.1:{described['prometheus_port']}/api/v1"
    alerts = [one for one in _get(f"{base}/alerts")["alerts"] if one["state"] == "firing"]
    alerts += _told(described)
    figures = {}
    for name, expression in FIGURES.items():
        query = urllib.parse.urlencode({"query": expression})
        figures[name] = [
            {
                "labels": {key: value for key, value in one["metric"].items() if key in LABELS},
                "value": float(one["value"][1]),
            }
            for one in _get(f"{base}/query?{query}")["result"]
            # JSON has no word for what is no number, or without end (a pool may be).
            if math.isfinite(float(one["value"][1]))
        ]
    return {"alerts": [_alert(one) for one in alerts], "figures": figures}


def _told(described: dict[str, Any]) -> list[dict[str, Any]]:
    """What Alertmanager was told past Prometheus, as Prometheus would say it."""
    name = described["without_figures"]["name"]
    query = urllib.parse.urlencode({"filter": f'alertname="{name}"'})
    found = json.loads(_open(f"{_alertmanager(described)}/alerts?{query}"))
    return [one | {"activeAt": one["startsAt"]} for one in found]


def _alert(one: dict[str, Any]) -> dict[str, Any]:
    labels = {
        key: value
        for key, value in one["labels"].items()
        if key not in ("alertname", "level", "instance", "job", "machine")
    }
    return {
        "name": one["labels"]["alertname"],
        "level": one["labels"].get("level", "warning"),
        "since": one["activeAt"],
        "labels": labels,
        **one["annotations"],
    }


def raise_by_hand(described: dict[str, Any]) -> None:
    """One alert of each level, for two minutes."""
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120))
    words = {
        "reason": "Somebody tries whether alerts arrive.",
        "action": "Nothing; it ends by itself in two minutes.",
    }
    alerts = [
        {
            "labels": {"alertname": "Test", "level": level},
            "annotations": words,
            "endsAt": ends,
        }
        for level in ("critical", "warning", "grow")
    ]
    tell(described, alerts)


def tell(described: dict[str, Any], alerts: list[dict[str, Any]]) -> None:
    """Alerts for Alertmanager, in the form of its API; raises Refused where it does not answer. Whoever is told knows
    by `machine` which one speaks, as with Prometheus' own alerts (its external label).
    """
    named = [one | {"labels": one["labels"] | {"machine": described["machine"]}} for one in alerts]
    _open(f"{_alertmanager(described)}/alerts", json.dumps(named).encode())


def _alertmanager(described: dict[str, Any]) -> str:
    return f"http://127.0.0.1:{described['alertmanager_port']}/api/v2"


def _get(url: str) -> dict[str, Any]:
    return dict(json.loads(_open(url))["data"])


def _open(url: str, body: bytes | None = None) -> bytes:
    password = (SECRETS / "scraper_password").read_text()
    token = base64.b64encode(f"{SCRAPER}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
    try:
        with web().open(urllib.request.Request(url, body, headers), timeout=TIMEOUT) as answer:
            return bytes(whole(answer, TIMEOUT, MOST))
    except (OSError, http.client.HTTPException) as problem:
        raise Refused(f"{url.split('?')[0]} does not answer: {problem}") from None
