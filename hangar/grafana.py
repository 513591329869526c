"""The dashboard's panels for Grafana: `python -m hangar.grafana` writes them beside the page."""

import json
from typing import Any

from hangar import paths

FOLDER = paths.REPO / "roles/monitoring/files/dashboard"
UNITS = {"ratio": "percentunit", "bytes": "bytes", "bytes/s": "Bps", "seconds": "s", "count": "short"}
"""Ours, and Grafana's names for them."""

COLUMNS, WIDTH, HEIGHT = 3, 8, 8


def render() -> str:
    """The dashboard as Grafana imports it; the data source is asked for at import."""
    panels = json.loads((FOLDER / "panels.json").read_text(encoding="utf-8"))
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    data = {
        "__inputs": [
            {"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}
        ],
        "title": "Hangar",
        "uid": "hangar",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": [_panel(number, panel, source) for number, panel in enumerate(panels)],
    }
    return json.dumps(data, indent=1) + "\n"


def _panel(number: int, panel: dict[str, Any], source: dict[str, str]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": UNITS[panel["unit"]], "min": 0}
    if "max" in panel:
        defaults["max"] = panel["max"]
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel["title"],
        "datasource": source,
        "gridPos": {
            "x": number % COLUMNS * WIDTH, "y": number // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT,
        },
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": source,
                "expr": one["expr"].replace("$rate", "$__rate_interval").replace("$wide", "$__range"),
                "legendFormat": one["legend"],
            }
            for at, one in enumerate(panel["series"])
        ],
    }  # fmt: skip


if __name__ == "__main__":
    (FOLDER / "grafana.json").write_text(render(), encoding="utf-8")
