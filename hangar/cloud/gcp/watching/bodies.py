"""Pure: what is asked of Cloud Monitoring, in the words of its discovery documents (monitoring.v3 and v1)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hangar import promql, watch_list
from hangar.cloud.gcp.names import LABEL, Names
from hangar.cloud.gcp.watching import Told, Watch
from hangar.watch_list import FIRING, Entry

Body = dict[str, Any]

RECEIVER, ALERT = "hangar-receiver", "hangar-alert"
"""Labels by which ours are found again, beside the environment's."""

MACHINE = "machine"
"""The label that each figure of a machine bears, with the machine's name (roles/monitoring, roles/ops_agent)."""

SEVERITIES = {"critical": "CRITICAL", "warning": "WARNING"}
"""Levels, and Google's words for them; `grow` has none there."""

EVERY = "30s"
"""How often a condition is looked at: the shortest that Google takes. How long something must last, the machine has
judged already."""

CLOSES = "1800s"
"""After how long without a figure an incident ends by itself: the shortest that Google takes."""

MASK = "displayName,documentation,userLabels,conditions,combiner,enabled,notificationChannels,severity,alertStrategy"
"""What an update of a policy writes: all that Hangar answers for."""

RENAMED = {"job": "exported_job", "instance": "exported_instance"}
"""Labels that a scrape sets itself; those of the figure come under another name."""

COLUMNS, WIDTH, HEIGHT = 48, 16, 16
UNITS = {"ratio": "10^2.%", "bytes": "By", "bytes/s": "By/s", "seconds": "s", "count": "1"}
"""Ours, and UCUM's names for them."""

NARROW, WIDE = "5m", "1h"
"""Spans of rates and of what is counted: figures come once a minute."""

LOGS = "Warnings and worse"
"""The panel of log entries below the others."""


def entries(watch: Watch) -> tuple[Entry, ...]:
    """Those of the list that the machine's parts need."""
    return tuple(one for one in watch_list.alerts() if not one.needs or one.needs in watch.parts)


def labels(names: Names) -> dict[str, str]:
    return {LABEL: names.environment}


def channel(names: Names, told: Told) -> Body:
    """Who is told by e-mail; Google needs no password for that."""
    return {
        "type": "email",
        "displayName": f"Hangar {names.environment}: {told.name}",
        "labels": {"email_address": told.address},
        "userLabels": {**labels(names), RECEIVER: told.name},
        "enabled": True,
    }


def policy(names: Names, entry: Entry, channels: Mapping[str, str], watch: Watch) -> Body:
    """One alert. `channels` are the resources of those who are told, by their names here."""
    severity = SEVERITIES.get(entry.level)
    return {
        "displayName": f"{names.machine}: {entry.name}",
        "documentation": {"content": text(entry), "mimeType": "text/markdown"},
        "userLabels": {**labels(names), ALERT: entry.name.lower()},
        "conditions": [
            {
                "displayName": entry.name,
                "conditionPrometheusQueryLanguage": {
                    "query": query(names, entry),
                    "duration": "0s",
                    "evaluationInterval": EVERY,
                    "alertRule": entry.name,
                    "ruleGroup": "hangar",
                    # A figure that has not come yet is no mistake: an alert that has never fired has none.
                    "disableMetricValidation": True,
                },
            }
        ],
        "combiner": "OR",
        "enabled": True,
        "notificationChannels": [channels[one.name] for one in watch.told if entry.level in one.levels],
        "alertStrategy": {"autoClose": CLOSES},
        **({"severity": severity} if severity else {}),
    }


def query(names: Names, entry: Entry) -> str:
    """What the machine found, or the entry's own expression where the machine cannot judge."""
    if entry.expr:
        return promql.narrowed(entry.expr, MACHINE, names.machine)
    return f'{FIRING}{{{MACHINE}="{names.machine}",alertname="{entry.name}"}} > 0'


def text(entry: Entry) -> str:
    """Why it fires and what to do, with Google's variables in place of Prometheus'. Its value stays on the machine."""
    reason, action = (_variables(said) for said in (entry.reason, entry.action))
    return f"{reason}\n\n{action}"


def _variables(said: str) -> str:
    said = re.sub(r"\{\{ \$labels\.(\w+) \}\}", _label, said)
    return re.sub(r"\{\{ \$value[^}]*\}\}", "…", said)


def _label(found: re.Match[str]) -> str:
    return f"${{metric_or_resource.label.{RENAMED.get(found[1], found[1])}}}"


def dashboard(names: Names) -> Body:
    """The page's panels, of this machine alone, and what its logs warn of."""
    tiles = [*_tiles(names)]
    tiles.append(_tile(len(tiles), _logs(names), COLUMNS))
    return {
        "displayName": f"Hangar {names.environment}",
        "labels": labels(names),
        "mosaicLayout": {"columns": COLUMNS, "tiles": tiles},
    }


def _tiles(names: Names) -> Iterator[Body]:
    for number, panel in enumerate(watch_list.panels()):
        sets = [
            {
                "plotType": "LINE",
                "targetAxis": "Y1",
                "legendTemplate": re.sub(r"\{\{(\w+)\}\}", _legend, one["legend"]),
                "timeSeriesQuery": {
                    "prometheusQuery": _spans(promql.narrowed(one["expr"], MACHINE, names.machine)),
                    "unitOverride": UNITS[panel["unit"]],
                },
            }
            for one in panel["series"]
        ]
        chart = {"dataSets": sets, "yAxis": {"scale": "LINEAR"}, "chartOptions": {"mode": "COLOR"}}
        yield _tile(number, {"title": panel["title"], "xyChart": chart}, WIDTH)


def _legend(found: re.Match[str]) -> str:
    return f"${{{RENAMED.get(found[1], found[1])}}}"


def _spans(expression: str) -> str:
    return expression.replace("$rate", NARROW).replace("$wide", WIDE)


def _logs(names: Names) -> Body:
    of_machine = f'labels."compute.googleapis.com/resource_name"="{names.machine}"'
    return {
        "title": LOGS,
        "logsPanel": {"filter": f"{of_machine} severity>=WARNING", "resourceNames": [names.root]},
    }


def _tile(number: int, widget: Body, width: int) -> Body:
    beside = COLUMNS // WIDTH
    down = number // beside if width == WIDTH else -(-number // beside)
    return {
        "xPos": number % beside * WIDTH if width == WIDTH else 0,
        "yPos": down * HEIGHT,
        "width": width,
        "height": HEIGHT,
        "widget": widget,
    }
