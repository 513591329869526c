import importlib.util
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar.audit import scanners
from hangar.audit.record import Observation, Scan
from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.process import Completed

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


def test_a_report_of_lynis_that_broke_off_is_no_result() -> None:
    with pytest.raises(HangarError) as caught:
        scanners.read_lynis(LYNIS.replace("hardening_index=80\n", ""))
    assert caught.value == HangarError(
        "The report of Lynis is not whole.", "* It has no hardening index, which comes last."
    )


def test_no_rule_of_openscap_is_no_score() -> None:
    text = XCCDF.replace("<result>pass<", "<result>notapplicable<").replace(
        "<result>fail<", "<result>notapplicable<"
    )
    with pytest.raises(HangarError) as caught:
        scanners.read_openscap(text)
    assert caught.value.brief == "OpenSCAP judged no rule on this machine."
    assert caught.value.details == "* notapplicable: 3 rules"


def test_an_answer_of_ssh_audit_that_broke_off_is_no_result() -> None:
    for text, brief in (
        ('{"kex": [', "The answer of ssh-audit cannot be read."),
        ("{}", "ssh-audit was offered no algorithm that it could judge."),
    ):
        with pytest.raises(HangarError) as caught:
            scanners.read_ssh_audit(text)
        assert caught.value.brief == brief


SUDO = '#!/bin/sh\nexec "$@"\n'
WHOLE = '#!/bin/sh\nprintf "lynis_version=3.1.4\\nhardening_index=81\\n" > REPORT\nexit STATUS\n'
BROKEN = "#!/bin/sh\necho 'another scan is running' >&2\nexit 1\n"
CUT_SHORT = "#!/bin/sh\necho lynis_version=3.1.4 > REPORT\n"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """A machine whose Lynis does what it is told here; an earlier scan's report lies there."""
    report = tmp_path / "report.dat"
    report.write_text(LYNIS)

    def tell(name: str, text: str) -> None:
        program = tmp_path / name
        program.write_text(text.replace("REPORT", str(report)))
        program.chmod(0o755)

    def ask(server: Server, command: str, *, check: bool = True) -> Completed:
        script = command.replace(scanners.LYNIS_REPORT, str(report))
        env = {"PATH": f"{tmp_path}:{os.defpath}"}
        done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True)
        return Completed(("ssh",), done.returncode, done.stdout, done.stderr)

    tell("sudo", SUDO)
    monkeypatch.setattr(scanners, "ask", ask)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return lambda text: tell("lynis", text)


SERVER = Server("hangar-local", "local", "container", "1", "127.0.0.1", 22, "hangar", (), ())


@pytest.mark.parametrize("status", ["0", "78"])
def test_a_whole_scan_is_todays(machine: Callable[[str], None], status: str) -> None:
    machine(WHOLE.replace("STATUS", status))
    (scan,) = scanners.scan(SERVER, ["lynis"], lambda _: None)
    assert scan == Scan("lynis", "3.1.4", "hardening index 81")


@pytest.mark.parametrize(
    ("lynis", "error"),
    [
        (
            BROKEN,
            HangarError(
                "lynis did not get to its end on hangar-local.",
                "* It ended with 1.\n* It says: another scan is running\n"
                "* It says: cat: REPORT: No such file or directory",
                "See whether it works there: ./provision.py ssh local",
            ),
        ),
        (
            CUT_SHORT,
            HangarError(
                "The report of Lynis is not whole.", "* It has no hardening index, which comes last."
            ),
        ),
    ],
)
def test_an_earlier_scan_does_not_pass_for_todays(
    machine: Callable[[str], None], tmp_path: Path, lynis: str, error: HangarError
) -> None:
    """Asked for, it is an error; otherwise the evidence says that there is no result."""
    machine(lynis)
    with pytest.raises(HangarError) as caught:
        scanners.scan(SERVER, ["lynis"], lambda _: None)
    caught.value.details = caught.value.details.replace(str(tmp_path / "report.dat"), "REPORT")
    assert caught.value == error
    assert scanners.scan(SERVER, [], lambda _: None) == (Scan("lynis", "", f"no result: {error.brief}"),)


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
