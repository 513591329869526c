"""What is newer, what has a known vulnerability, and what is said where nobody answers; all by a stand-in."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hangar.outdated import __main__ as outdated
from hangar.outdated import index, osv, places
from hangar.outdated.places import Package
from hangar.paths import REPO
from tests.unit.outdated.osv_and_index import StandIn

FILES = [
    {"filename": "some_thing-1.0-py3-none-any.whl"},
    {"filename": "some_thing-1.2-py3-none-any.whl", "requires-python": ">=3.11"},
    {"filename": "some_thing-1.2.tar.gz", "requires-python": ">=3.11"},
    {"filename": "some_thing-1.3-py3-none-any.whl", "requires-python": ">=3.12"},
    {"filename": "some_thing-1.4-py3-none-any.whl", "yanked": "broken"},
    {"filename": "some_thing-2.0rc1-py3-none-any.whl"},
    {"filename": "some_thing-9.exe"},
]
GHSA = {
    "id": "GHSA-1", "aliases": ["CVE-2026-1"], "summary": "Anybody may read everything",
    "affected": [
        {"package": {"ecosystem": "PyPI", "name": "Some-Thing".lower()},
         "ranges": [{"type": "GIT", "events": [{"fixed": "abc"}]},
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}]},
        {"package": {"ecosystem": "npm", "name": "some-thing"},
         "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "7"}]}]},
    ],
}  # fmt: skip
ONE = Package("some-thing", "1.0", "3.11", ("requirements.lock",))


@pytest.fixture
def stand() -> Iterator[StandIn]:
    made = StandIn()
    made.offers["some-thing"] = list(FILES)
    yield made
    made.server.shutdown()


def newest(stand: StandIn, version: str = "1.0", python: str = "3.11") -> str:
    return index.newest(stand.index, "some-thing", version, python)


@pytest.mark.parametrize("as_html", [False, True])
class TestNewest:
    def test_it_has_to_run_on_the_earliest_python(self, stand: StandIn, as_html: bool) -> None:
        stand.as_html = as_html
        assert newest(stand) == "1.2"
        assert newest(stand, python="3.12") == "1.3"

    def test_what_was_taken_back_and_trials_do_not_count(self, stand: StandIn, as_html: bool) -> None:
        stand.as_html = as_html
        assert newest(stand, "1.3", "3.13") == "1.3"
        assert newest(stand, "2.0a1", "3.13") == "2.0rc1"


def test_an_index_that_does_not_answer_shows_no_log_in(stand: StandIn) -> None:
    there = stand.index.replace("http://", "http://me:secret@")
    stand.fails["/simple/"] = 503
    with pytest.raises(index.Silent) as silent:
        index.newest(there, "some-thing", "1.0", "3.11")
    assert silent.value.brief == f"{stand.index} does not say what it has of some-thing."
    assert "secret" not in silent.value.details
    assert "503" in silent.value.details


def test_the_index_is_pips_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(index.installers, "GLOBAL_PIP_CONFIG", tmp_path / "pip.conf")
    assert index.address() == "https://pypi.org/simple"
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.example.org/simple/\n")
    assert index.address() == "https://mirror.example.org/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example.org/simple")
    assert index.address() == "https://other.example.org/simple"


def test_vulnerabilities_with_what_fixes_them(stand: StandIn) -> None:
    stand.ids["some-thing", "1.0"] = [["GHSA-1"]]
    stand.about["GHSA-1"] = GHSA
    assert osv.known([("some-thing", "1.0"), ("idna", "3.20")], stand.osv) == {
        ("some-thing", "1.0"): (
            osv.Vulnerability("GHSA-1", ("CVE-2026-1",), "Anybody may read everything", ("1.1",)),
        )
    }
    assert stand.asked.count("/v1/querybatch") == 1


def test_pages_are_read_to_their_end(stand: StandIn) -> None:
    stand.ids["some-thing", "1.0"] = [["A"], [], ["B", "A"]]
    stand.about |= {name: {"id": name} for name in "AB"}
    found = osv.known([("idna", "3.20"), ("some-thing", "1.0")], stand.osv)
    assert [one.id for one in found["some-thing", "1.0"]] == ["A", "B"]
    assert stand.asked.count("/v1/querybatch") == 3


def test_more_than_one_call_may_hold(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(osv, "AT_ONCE", 2)
    stand.ids["c", "1"] = [["A"]]
    stand.about["A"] = {"id": "A"}
    found = osv.known([(name, "1") for name in "abcde"], stand.osv)
    assert list(found) == [("c", "1")]
    assert stand.asked.count("/v1/querybatch") == 3


@pytest.mark.parametrize("path", ["/v1/querybatch", "/v1/vulns/"])
def test_an_osv_that_fails_is_not_an_osv_that_knows_nothing(stand: StandIn, path: str) -> None:
    stand.ids["some-thing", "1.0"] = [["GHSA-1"]]
    stand.fails[path] = 500
    with pytest.raises(osv.Silent) as silent:
        osv.known([("some-thing", "1.0")], stand.osv)
    assert silent.value.brief == "OSV could not be asked, so nothing is known of vulnerabilities."


def call(stand: StandIn, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    monkeypatch.setattr(places, "packages", lambda: (ONE,))
    return outdated.main(["--index", stand.index, "--osv", stand.osv, *more])


def test_people_read_vulnerabilities_first(
    stand: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.ids["some-thing", "1.0"] = [["GHSA-1"]]
    stand.about["GHSA-1"] = GHSA
    assert call(stand, monkeypatch) == 0
    said = capsys.readouterr()
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[:2] == [
        "has a known vulnerability which fixed in what pinned in",
        "some-thing 1.0 GHSA-1, CVE-2026-1 1.1 Anybody may read everything requirements.lock",
    ]
    assert "some-thing 1.0 1.2 requirements.lock" in lines
    assert lines[-1] == (
        "Packages: 1, newer: 1, with a known vulnerability: 1. To resolve the locks again: make lock"
    )
    assert said.err == ""


@pytest.mark.parametrize(("vulnerable", "osv_fails", "code"), [
    (False, False, 0), (True, False, 1), (False, True, 1),
])  # fmt: skip
def test_strict(
    stand: StandIn, monkeypatch: pytest.MonkeyPatch, vulnerable: bool, osv_fails: bool, code: int
) -> None:
    if vulnerable:
        stand.ids["some-thing", "1.0"] = [["GHSA-1"]]
        stand.about["GHSA-1"] = GHSA
    if osv_fails:
        stand.fails["/v1/"] = 502
    assert call(stand, monkeypatch) == 0
    assert call(stand, monkeypatch, "--strict") == code


def test_where_osv_is_out_of_reach_that_is_said(
    stand: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.fails["/v1/"] = 502
    assert call(stand, monkeypatch, "--json") == 0
    said = capsys.readouterr()
    assert "warning: OSV could not be asked, so nothing is known of vulnerabilities. (502" in said.err
    assert "with a known vulnerability: not known." in said.err
    told = json.loads(said.out)
    assert (told["osv"], told["packages"][0]["newest"]) == (False, "1.2")


def test_packages_that_the_index_does_not_know_are_one_line(stand: StandIn) -> None:
    strangers = [Package(name, "1", "3.11", ("x",)) for name in ("a", "b")]
    found = outdated.look([ONE, *strangers], (), stand.index, stand.osv)
    assert found.newer == {("some-thing", "1.0"): "1.2"}
    (line,) = found.silent
    assert line.startswith(f"{stand.index} does not say what it has of a. (2 packages) (404")
    assert found.vulnerable == {}


def test_every_lock_of_this_repository_is_looked_at() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.lock"], cwd=REPO, capture_output=True, text=True, check=True
    )
    found = {name for name in listed.stdout.split() if not name.startswith("tests/data/")}
    assert {place.path for place in places.PLACES} == found


def test_a_pin_for_later_pythons_alone_is_not_held_to_the_earliest() -> None:
    found = {(one.name, one.version): one for one in places.packages()}
    core = sorted((one for one in found.values() if one.name == "ansible-core"), key=lambda one: one.python)
    assert [one.python for one in core] == ["3.11", "3.12"]
    assert found["apache-airflow", "3.3.2"].places[0] == "roles/airflow/files/requirements.lock"
    assert found["pip", "26.3"].places[-1] == "hangar/installers.py"


def test_what_comes_from_elsewhere_has_a_version() -> None:
    assert {one.name: one.version for one in places.others()} == {
        "abctl": "v0.30.4",
        "Airbyte's platform": "2.4.0",
        "Debian of the machine and Airflow's image": "trixie",
        "Postgres of Airflow": "17",
        "Debian of the embedded engine's image": "bookworm",
        "Postgres of the warehouse": "17",
        "Google's Ops Agent": "2.70.0",
        "uPlot of the dashboard": "1.6.32",
    }


def test_no_version_that_a_role_pins_is_left_out() -> None:
    listed = {one.place for one in places.others()} | {one.path for one in places.PLACES}
    pinning = {
        str(path.relative_to(REPO))
        for path in [*REPO.glob("roles/*/defaults/main.yml"), *REPO.glob("roles/*/vars/main.yml")]
        if re.search(r"^\w+_version:", path.read_text(), re.MULTILINE)
    }
    assert pinning <= listed
    assert {str(path.relative_to(REPO)) for path in REPO.glob("roles/*/files/**/*.lock")} <= listed
    assert {str(path.relative_to(REPO)) for path in REPO.glob("roles/*/files/**/*.min.js")} <= listed
