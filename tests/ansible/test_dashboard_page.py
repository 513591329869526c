"""The dashboard's word on the whole: what the page makes of Prometheus' alerts and of those told past it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "roles/monitoring/files/dashboard/page.js"

# As much of a browser as the word needs. Argument 1 is the page, 2 what each path is answered with: status, age, body.
BROWSER = """
const [page, given] = [require("fs").readFileSync(process.argv[1], "utf8"), JSON.parse(process.argv[2])];
const places = {};
const element = () => ({ children: [], dataset: {}, style: {}, append(...more) { this.children.push(...more); },
  replaceChildren(...more) { this.children = more; }, setAttribute() {}, addEventListener() {} });
const document = { hidden: false, body: element(), createElement: element, addEventListener() {},
  getElementById: (name) => (places[name] ??= element()) };
const now = Date.now();
const fetch = async (url) => {
  const name = new URL(url).pathname.split("/").pop();
  const [status, age, body] = given[name] ?? [200, 0, { data: { result: [], yaml: "" } }];
  const date = (age) => age === null ? null : new Date(now - 1000 * age).toUTCString();
  const headers = { Date: date(0), "Last-Modified": date(age) };
  return { ok: status === 200, status, headers: { get: (one) => headers[one] }, json: async () => body };
};
const location = { origin: "http://monitoring.localhost:9090", pathname: "/user/" };
const kept = { getItem: () => null, setItem() {} };
const nothing = () => ({ addEventListener() {} });
new Function("document", "fetch", "location", "localStorage", "window", "matchMedia", "setInterval", page)(
  document, fetch, location, kept, nothing(), nothing, () => {});
setTimeout(() => console.log(JSON.stringify({
  word: places.state.textContent, kind: places.state.className,
  reasons: places.alerts.children.map((card) => card.children[1].textContent),
})), 0);
"""

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the page's program")


def alert(level: str, reason: str, state: str = "firing") -> dict[str, Any]:
    return {
        "state": state,
        "labels": {"level": level},
        "annotations": {"reason": reason, "action": "Look."},
        "activeAt": "2026-01-01T00:00:00Z",
    }


def shown(known: list[dict[str, Any]], told: tuple[int, float | None, Any]) -> dict[str, Any]:
    answers = {
        "alerts": (200, 0, {"data": {"alerts": known}}),
        "told.json": told,
        "panels.json": (200, 0, []),
    }
    argv = ["node", "-e", BROWSER, str(PAGE), json.dumps(answers)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_all_is_well_where_both_say_so() -> None:
    waits = alert("warning", "soon", "pending")
    assert shown([waits], (200, 5, {"alerts": []})) == {
        "word": "all is well",
        "kind": "pill good",
        "reasons": [],
    }


def test_a_full_disk_is_told_though_prometheus_knows_nothing_of_it() -> None:
    full = alert("critical", "/srv has no room left")
    assert shown([], (200, 5, {"alerts": [full]})) == {
        "word": "1 alert",
        "kind": "pill critical",
        "reasons": ["/srv has no room left"],
    }
    found = shown([alert("warning", "a DAG failed")], (200, 5, {"alerts": [full]}))
    assert (found["word"], found["reasons"]) == ("2 alerts", ["/srv has no room left", "a DAG failed"])


@pytest.mark.parametrize("told", [(200, 181, {"alerts": []}), (404, None, {})])
def test_nothing_is_well_where_nobody_has_looked(told: tuple[int, float | None, Any]) -> None:
    assert shown([], told) == {
        "word": "not everything is measured",
        "kind": "pill warning",
        "reasons": [],
    }
    assert shown([alert("critical", "old")], told)["word"] == "1 alert"
