"""What scanners found fault with: each of it is done, left open with a reason, or answered; nothing is passed over."""

import re
from pathlib import Path

import pytest
import yaml

from hangar.audit import assess
from hangar.audit.record import Exemption, Observation, Scan
from hangar.controls import controls

REPO = Path(__file__).resolve().parents[2]
FOUND = yaml.safe_load((REPO / "tests/data/scanner_findings.yml").read_text())
DONE: dict[str, str] = FOUND.pop("done")
GUIDE = (REPO / "docs/hardening.md").read_text()
HOUSE = {
    entry["control"]: Exemption(**entry)
    for entry in yaml.safe_load((REPO / "playbooks/group_vars/all/hardening.yml").read_text())[
        "hardening_house_exceptions"
    ]
}
EACH = [(scanner, rule) for scanner, rules in FOUND.items() for rule in rules]


@pytest.mark.parametrize(("scanner", "rule"), EACH)
def test_what_a_scanner_found_stands_beside_a_reason(scanner: str, rule: str) -> None:
    """As the audit puts it on its page: at a control that is left open, with an answer, or at one that does it now"""
    scan = Scan(scanner, "", "", (Observation(scanner, rule, "failed"),))
    assert assess.unmapped(controls(), [scan]) == ()
    beside = [one for one in assess.assess(controls(), [], HOUSE, [scan]) if one.observations]
    left_open = [one for one in beside if one.exemption]
    answered = [one for one in beside for said in one.observations if said.answer]
    done = [one for one in beside if one.control == DONE.get(rule)]
    assert left_open or answered or done, f"{rule} stands at {', '.join(one.control for one in beside)} alone"


def test_what_is_done_since_is_proven_on_the_machine() -> None:
    by_name = {one.name: one for one in controls()}
    for rule, name in DONE.items():
        assert rule in FOUND["openscap"]
        assert by_name[name].proved_by, name
        assert name not in HOUSE
        assert rule not in by_name[name].answers, f"{rule} is done and needs no answer"


def test_an_answer_belongs_to_a_finding_of_its_control() -> None:
    """One whose rule no scanner is expected to name would never be read; one that is left open has its reason."""
    for control in controls():
        known = {rule for rules in control.scanners.values() for rule in rules}
        assert set(control.answers) <= known, control.name
        assert not (control.answers and control.name in HOUSE), control.name
        assert all(answer.strip().endswith(".") for answer in control.answers.values()), control.name


def test_the_guide_says_what_is_expected_to_hold_now() -> None:
    """And claims no score that nobody measured."""
    asked = {rule: one for one in controls() for rule in one.scanners.get("openscap", ())}
    left_open = [rule for rule in FOUND["openscap"] if asked[rule].name in HOUSE]
    answered = [rule for rule in FOUND["openscap"] if rule in asked[rule].answers]
    counted = f"{len(DONE)} are done, {len(left_open)} are left open and {len(answered)} are answered"
    assert f"Of the {len(FOUND['openscap'])} rules of OpenSCAP that did not hold, {counted}:" in GUIDE
    (done,) = re.findall(r"^- Done: (.*)$", GUIDE, re.MULTILINE)
    assert set(re.findall(r"`([a-z_0-9]+)`", done)) == set(DONE)
    assert re.findall(r"(\d+) of (\d+) rules", GUIDE) == [("62", "90")]
