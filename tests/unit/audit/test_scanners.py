import json

import pytest

from hangar.audit import scanners
from hangar.audit.record import Observation
from hangar.errors import HangarError

LYNIS = """\
lynis_version=3.1.4
warning[]=FIRE-4512|iptables module(s) loaded, but no rules active|-|-|
suggestion[]=SSH-7408|Consider hardening SSH configuration|AllowTcpForwarding (set LOCAL to NO)|-|
hardening_index=80
"""

XCCDF = """<?xml version="1.0"?>
<Benchmark xmlns="http://checklists.nist.gov/xccdf/1.2"><TestResult>
<rule-result idref="xccdf_org.ssgproject.content_rule_a_passes"><result>pass</result></rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_b_fails"><result>fail</result></rule-result>
<rule-result idref="xccdf_org.ssgproject.content_rule_c_is_not_applicable"><result>notapplicable</result></rule-result>
</TestResult></Benchmark>
"""


def test_lynis_warnings_and_suggestions_are_observations() -> None:
    scan = scanners.read_lynis(LYNIS)
    assert (scan.version, scan.score) == ("3.1.4", "hardening index 80")
    assert scan.observations == (
        Observation("lynis", "FIRE-4512", "iptables module(s) loaded, but no rules active"),
        Observation(
            "lynis", "SSH-7408", "Consider hardening SSH configuration AllowTcpForwarding (set LOCAL to NO)"
        ),
    )


def test_openscap_rules_that_failed_are_observations() -> None:
    scan = scanners.read_openscap(XCCDF)
    assert scan.score == "1 of 2 rules of ANSSI BP-028"
    assert scan.observations == (Observation("openscap", "b_fails", "failed"),)


def test_an_answer_that_is_no_result_is_an_error_in_words() -> None:
    with pytest.raises(HangarError, match=r"The answer of OpenSCAP cannot be read\."):
        scanners.read_openscap("")


def test_ssh_audit_fails_and_warnings_are_observations() -> None:
    told = {"kex": [{"algorithm": "old-kex", "notes": {"warn": ["weak"], "info": ["known"]}}], "enc": []}
    scan = scanners.read_ssh_audit(json.dumps(told))
    assert scan.score == "0 fail, 1 warn"
    assert scan.observations == (Observation("ssh-audit", "old-kex", "warn: weak"),)


def test_a_scanner_that_nobody_knows_is_refused_before_anything_runs() -> None:
    scanners.require_names(["lynis", "ssh-audit", "openscap"])
    with pytest.raises(HangarError) as caught:
        scanners.require_names(["lynis", "nessus"])
    assert caught.value.brief == "There is no scanner nessus."
    assert caught.value.details == "Known: lynis, openscap, ssh-audit"
