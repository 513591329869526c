"""What the hardening costs, from what an `up` and a machine tell."""

from __future__ import annotations

import json
from pathlib import Path

from bench.hardening import hardening_figures, hardening_seconds
from bench.monitoring import figures


def test_the_hardening_counts_with_every_login_that_was_proven(tmp_path: Path) -> None:
    told = [
        ("base", 9.0),
        ("interlock", 4.0),
        ("hardening_kernel", 1.5),
        ("hardening_system", 2.0),
        ("people", 3.0),
    ]
    report = tmp_path / ".hangar/bench/report.json"
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"roles": [{"name": name, "seconds": seconds} for name, seconds in told]}))
    assert hardening_seconds(tmp_path, "bench") == 7.5
    rows = [row.row() for row in hardening_figures(46, 4.9)]
    assert [row.split()[-1] for row in rows] == ["MISSED", "ok"]


def test_auditing_and_meters_are_counted_apart_from_what_keeps_and_tells() -> None:
    found = [
        ("hangar-measure", 0.003, 40_000_000), ("prometheus", 0.004, 77_000_000),
        ("prometheus-alertmanager", 0.001, 38_000_000), ("prometheus-node-exporter", 0.002, 22_000_000),
        ("auditd", 0.001, 3_000_000),
    ]  # fmt: skip
    assert [(round(row.value, 3), row.budget) for row in figures(found)] == [
        (1.0, 1.5), (177.0, 200), (0.6, 1), (65.0, 100),
    ]  # fmt: skip
