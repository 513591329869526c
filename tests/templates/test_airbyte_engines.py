"""One engine of Airbyte's beside the other: refused by the first files of a run, before anything is touched."""

from __future__ import annotations

import re

import pytest
import yaml

from hangar.paths import REPO
from tests.templates.render import value


@pytest.mark.parametrize(
    ("engine", "other", "named"),
    [("embedded", "abctl", "Airbyte's platform (abctl)"), ("abctl", "embedded", "The embedded engine")],
)
def test_what_the_other_engine_left_ends_a_run_with_what_to_do(engine: str, other: str, named: str) -> None:
    found = value("interlock", "interlock_unless", airbyte_engine=engine)
    assert set(found.values()) == {
        f"{named} stands on this machine, and its connections and history do not move by themselves; nothing was "
        f"touched. Keep it (airbyte.engine: {other}), or take leave of it first: "
        "docs/airbyte.md#from-one-engine-to-the-other"
    }
    heading = "## From one engine to the other"
    assert heading in (REPO / "docs/airbyte.md").read_text().splitlines()


def test_they_are_the_traces_by_which_the_engines_refuse_themselves() -> None:
    left_by_abctl = value("interlock", "interlock_unless", airbyte_engine="embedded")
    assert list(left_by_abctl) == value("airbyte", "__airbyte_platforms")
    preflight = (REPO / "roles/airbyte_abctl/tasks/preflight.yml").read_text()
    left_by_embedded = value("interlock", "interlock_unless", airbyte_engine="abctl")
    assert list(left_by_embedded) == re.findall(r"\[ ! -e (\S+) ] \|\| echo embedded", preflight)


def test_a_machine_without_airbyte_is_refused_nothing() -> None:
    assert value("interlock", "interlock_unless", airbyte_enabled=False, airbyte_engine="abctl") == {}


def test_nothing_of_a_run_comes_before_it() -> None:
    (play,) = yaml.safe_load((REPO / "playbooks/site.yml").read_text())
    assert "pre_tasks" not in play
    assert play["roles"][0]["role"] == "interlock"
    first, *_ = yaml.safe_load((REPO / "roles/interlock/tasks/main.yml").read_text())
    assert first["apply_tree"]["unless"] == "{{ interlock_unless }}"
