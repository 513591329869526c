import json
import re

import yaml

from hangar import grafana
from hangar.paths import REPO


def test_grafanas_dashboard_shows_what_the_page_shows() -> None:
    """`python -m hangar.grafana` writes it again."""
    written = (grafana.FOLDER / "grafana.json").read_text()
    assert written == grafana.render()
    panels = json.loads((grafana.FOLDER / "panels.json").read_text())
    assert [one["title"] for one in json.loads(written)["panels"]] == [one["title"] for one in panels]
    assert "$rate" not in written.replace("$__rate_interval", "")


def test_the_page_asks_nobody_else() -> None:
    """No font, script or picture from elsewhere; the one library is vendored with its licence."""
    for name in ("index.html", "page.js", "page.css"):
        assert not re.search(r"https?://|//[a-z]+\.", (grafana.FOLDER / name).read_text()), name
    assert "MIT License" in (grafana.FOLDER / "uplot/LICENSE").read_text()


def test_every_alert_says_why_and_what_to_do_and_has_a_proof() -> None:
    watched = yaml.safe_load((REPO / "roles/monitoring/files/watched.yml").read_text())
    proofs = yaml.safe_load((REPO / "roles/monitoring/tests/proofs.yml").read_text())
    alerts = {one["name"]: one for one in watched["alerts"]}
    assert len(alerts) == len(watched["alerts"])
    assert set(proofs) == set(alerts)
    assert {one["level"] for one in alerts.values()} == {"critical", "warning", "grow"}
    assert [name for name, one in alerts.items() if not (one["reason"].endswith(".") and one["action"])] == []
    assert [name for name, one in alerts.items() if (one["level"] == "grow") != ("resource" in one)] == []
