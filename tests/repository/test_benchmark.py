"""Which numbers of the CIS benchmark are held, left open or not applicable: counted, and each of them is one."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from hangar.controls import controls

REPO = Path(__file__).resolve().parents[2]
BENCHMARK = yaml.safe_load((REPO / "tests/data/cis_debian_12.yml").read_text())
GUIDE = (REPO / "docs/hardening.md").read_text()
HOUSE = {
    entry["control"]
    for entry in yaml.safe_load((REPO / "playbooks/group_vars/all/hardening.yml").read_text())[
        "hardening_house_exceptions"
    ]
}


def numbers(level: int) -> set[str]:
    """Every number of a level."""
    found = [number for row in BENCHMARK[f"level_{level}"] for number in row]
    assert all(isinstance(number, str) for number in found)
    assert len(set(found)) == len(found), "a number stands there twice"
    return set(found)


LEVEL_1, LEVEL_2 = numbers(1), numbers(2)
OPEN = {source for one in controls() if one.name in HOUSE for source in one.sources}
HELD = {
    source for one in controls() if one.proved_by and one.name not in HOUSE for source in one.sources
} - OPEN
AWAY = [number for group in BENCHMARK["not_applicable"].values() for number in group]


def of(sources: set[str], level: set[str]) -> set[str]:
    return {number for number in level if f"CIS {number}" in sources}


def test_every_number_that_is_named_is_one_of_the_benchmark() -> None:
    named = {
        (one.name, source.removeprefix("CIS "))
        for one in controls()
        for source in one.sources
        if source.startswith("CIS ")
    }
    assert {(name, number) for name, number in named if number not in LEVEL_1 | LEVEL_2} == set()
    assert len(named) > 200


def test_every_number_of_level_1_is_held_left_open_or_not_applicable() -> None:
    held, left_open, away = of(HELD, LEVEL_1), of(OPEN, LEVEL_1), set(AWAY)
    assert len(away) == len(AWAY)
    assert away <= LEVEL_1
    assert away & (held | left_open) == set()
    assert sorted(LEVEL_1 - held - left_open - away) == []


def test_the_guide_counts_as_the_controls_do() -> None:
    for level, all_of_it, away in ((1, LEVEL_1, set(AWAY)), (2, LEVEL_2, set[str]())):
        held, left_open = of(HELD, all_of_it), of(OPEN, all_of_it)
        unnamed = all_of_it - held - left_open - away
        row = (len(all_of_it), len(held), len(left_open), len(away), len(unnamed))
        assert f"| Level {level} | {' | '.join(map(str, row))} |" in GUIDE, row


def test_the_guide_says_why_a_number_is_not_applicable() -> None:
    rows = dict(re.findall(r"^\| ([0-9., ]+) \| ([^|]+) \|$", GUIDE, re.MULTILINE))
    assert rows == {", ".join(group): reason for reason, group in BENCHMARK["not_applicable"].items()}
