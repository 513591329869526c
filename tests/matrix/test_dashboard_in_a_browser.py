"""The dashboard in a real browser, through the tunnel: every panel has its figures, light and dark, and nobody else is
asked for anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from hangar.paths import REPO
from tests.e2e.conftest import LOGS, Checkout

from .browser import image as editor_image
from .browser.devtools import Page, browser
from .test_editor_in_a_browser import free_port

SHOWN_WITHIN = 120
"""Seconds, on a busy computer."""

PANELS = [
    one["title"] for one in json.loads((REPO / "roles/monitoring/files/dashboard/panels.json").read_text())
]
NOT_HERE = {"Containers"}
"""What a container cannot measure: its kernel gives no figures of control groups."""

SIZE = (1360, 2300)
"""All of it at once."""
BACKS = {"light": "rgb(245, 246, 248)", "dark": "rgb(16, 20, 27)"}

# The title of each panel that is to be seen, whether anything is drawn, and what its legend says is now.
SEEN = """[...document.querySelectorAll('#panels > article')].filter(one => !one.hidden).map(one => {
  const canvas = one.querySelector('canvas');
  const copy = document.createElement('canvas');
  const pen = copy.getContext('2d', {willReadFrequently: true});
  if (canvas) { copy.width = canvas.width; copy.height = canvas.height; pen.drawImage(canvas, 0, 0); }
  const drawn = canvas && pen.getImageData(0, 0, copy.width, copy.height).data.some(Boolean);
  const legend = [...one.querySelectorAll('.u-series')].slice(1)
    .map(row => row.querySelector('.u-value').textContent.trim());
  return {title: one.querySelector('h2').textContent, drawn: Boolean(drawn), legend};
})"""

FULL = f"({SEEN}).length && ({SEEN}).every(one => one.drawn && one.legend.some(said => /[0-9]/.test(said)))"
"""No panel is to be seen that has nothing to show."""

TILES = """Object.fromEntries([...document.querySelectorAll('#tiles article')].map(
  one => [one.querySelector('h2').textContent, one.querySelector('strong').textContent]))"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return editor_image.ensure(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def address(machine: Checkout) -> str:
    """Where the tunnel shows the page, with who asks."""
    forwards = json.loads(machine.hangar("tunnel", "--json").stdout)
    page = next(one["page"] for one in forwards if one["name"] == "monitoring")
    password = machine.ssh("sudo cat /srv/monitoring/secrets/admin_password").stdout.strip()
    return str(page).replace("http://", f"http://admin:{password}@")


@pytest.fixture(scope="module")
def page(address: str, image: str) -> Iterator[Page]:
    with browser(image, free_port()) as opened:
        for domain in ("Runtime", "Log", "Network"):
            opened.call(f"{domain}.enable")
        opened.size(*SIZE)
        opened.prefers("light")
        opened.open(address)
        opened.wait("document.body && document.body.dataset.ready", SHOWN_WITHIN)
        yield opened


@pytest.mark.parametrize("scheme", BACKS)
def test_every_panel_shows_its_figures(page: Page, scheme: str) -> None:
    page.prefers(scheme)
    back = "getComputedStyle(document.body).backgroundColor"
    page.wait(f"{back} === {json.dumps(BACKS[scheme])}")
    # Other colours: all is drawn anew, and a legend says what is now a moment after it is there.
    page.wait(FULL, SHOWN_WITHIN)
    LOGS.mkdir(exist_ok=True)
    page.picture(LOGS / f"monitoring-{scheme}.png")
    assert set(PANELS) - {one["title"] for one in page.find(SEEN)} <= NOT_HERE


def test_the_numbers_of_now_are_there(page: Page) -> None:
    tiles = dict(page.find(TILES))
    assert {"CPU", "Memory", "Disk /srv", "Load", "Units failed", "Running for"} <= set(tiles)
    assert [title for title, said in tiles.items() if not any(sign.isdigit() for sign in said)] == []
    assert page.find("document.getElementById('machine').textContent").startswith("hangar-")


def test_nothing_is_wrong_on_the_page_and_nobody_else_is_asked(page: Page, address: str) -> None:
    page.wait("true")  # takes what the browser has told until now
    said = [one for one in page.events if complains(one)]
    assert said == []
    asked = {urlsplit(one["params"]["request"]["url"]) for one in page.events
             if one["method"] == "Network.requestWillBeSent"}  # fmt: skip
    assert {"index", "query_range"} <= {
        "index" if one.path == "/user/" else one.path.rsplit("/", 1)[1] for one in asked
    }
    assert {one.hostname for one in asked if one.scheme != "data"} == {urlsplit(address).hostname}


def complains(event: dict[str, Any]) -> bool:
    """Whether the browser's console would show an error or a warning."""
    about = event["params"]
    if event["method"] == "Runtime.consoleAPICalled":
        return about["type"] in ("error", "warning", "assert")
    if event["method"] == "Log.entryAdded":
        return about["entry"]["level"] in ("error", "warning")
    return bool(event["method"] == "Runtime.exceptionThrown")
