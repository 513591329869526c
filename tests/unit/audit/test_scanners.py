import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hangar.audit import scanners
from hangar.audit.record import Observation, Scan
from hangar.cloud.base import Server
from hangar.errors import CommandFailed, HangarError
from hangar.process import Completed
from tests.sshd import SSHD, Host

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


def test_the_score_of_openscap_says_whose_rules_they_are() -> None:
    text = XCCDF.replace("<Benchmark ", '<Benchmark id="xccdf_org.ssgproject.content_benchmark_DEBIAN-12" ')
    assert scanners.read_openscap(text).score == "1 of 2 rules of ANSSI BP-028 for Debian 12"


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


@pytest.mark.parametrize("asked", [["lynis"], []])
def test_a_machine_that_answers_without_end_fills_no_memory(
    monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    """It may be a stranger's by now, which is what an audit is for."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(scanners, "MOST", 1 << 20)
    script = 'case $0 in *lynis-report*) yes;; *oscap*) exit 1;; *) echo "$0" >&2;; esac'
    monkeypatch.setattr(scanners.call, "argv", lambda server, command: ["sh", "-c", script, command])
    said = "sh was ended: it says more than 1 MiB."
    if asked:
        with pytest.raises(CommandFailed) as caught:
            scanners.scan(SERVER, asked, lambda _: None)
        assert caught.value.brief == said
    else:
        assert scanners.scan(SERVER, asked, lambda _: None) == (Scan("lynis", "", f"no result: {said}"),)


CONTENT = """<a>scap_ssg-debian12-xccdf</a>
<ind:pattern operation="pattern match">^12.[0-9]+$</ind:pattern>
<ind:pattern operation="pattern match">^127.0.0.1$</ind:pattern>
"""
OSCAP = """#!/bin/sh
for rules do :; done
cp "$rules" REPORT
echo noise
exit 2
"""


@pytest.mark.parametrize(
    ("there", "pattern"),
    [
        (("11", "12"), "^(12|13).[0-9]+$"),
        (("12", "13"), "^13.[0-9]+$"),
        ((), None),
    ],
    ids=["the newest rules are for Debian 12", "some are for this Debian", "there are none"],
)
def test_openscap_is_given_rules_that_are_for_this_debian(
    tmp_path: Path, there: tuple[str, ...], pattern: str | None
) -> None:
    """Rules of another release would judge nothing; what else begins so stays as it is."""
    content, programs = tmp_path / "content", tmp_path / "bin"
    for folder in (content, programs):
        folder.mkdir()
    for release in there:
        text = CONTENT if release != "13" else CONTENT.replace("^12.", "^13.")
        (content / f"ssg-debian{release}-ds.xml").write_text(text)
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_ID="13"\n')
    report, rules = tmp_path / "report.xml", tmp_path / "rules.xml"
    for name, text in (("sudo", SUDO), ("oscap", OSCAP.replace("REPORT", str(report)))):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    command = scanners.SCANNERS["openscap"].command
    for path, ours in (
        ("/etc/os-release", tmp_path / "os-release"), (scanners.OPENSCAP_CONTENT, content),
        (scanners.OPENSCAP_REPORT, report), (scanners.OPENSCAP_RULES, rules),
    ):  # fmt: skip
        command = command.replace(path, str(ours))
    done = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": f"{programs}:{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    given = re.findall(r"<ind:pattern [^>]*>(.*)</ind", done.stdout)
    assert given == ([] if pattern is None else [pattern.replace("^13.", "^(13|13)."), "^127.0.0.1$"])
    assert "noise" not in done.stdout
    assert not report.exists()
    assert not rules.exists()


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


LEADS = """
import os, select, socket, sys
way = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    for end in select.select([0, way], [], [])[0]:
        block = os.read(0, 65536) if end == 0 else way.recv(65536)
        if not block:
            sys.exit()
        way.sendall(block) if end == 0 else os.write(1, block)
"""
"""A proxy command that leads to a port of this computer's."""


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No scanner is on the machine itself."""
    monkeypatch.setattr(scanners, "ask", lambda server, command, check=True: Completed(("ssh",), 1, "", ""))


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "sshd", "")
    # One cipher that it warns of.
    host.start("Ciphers aes256-ctr,aes128-cbc", "PerSourcePenalties no" if penalizes() else "MaxStartups 100")
    yield host
    host.stop()


def penalizes() -> bool:
    assert SSHD
    argv = [SSHD, "-T", "-f", "/dev/null", "-o", "PerSourcePenalties no", "-h", "/dev/null"]
    return "ad configuration option" not in subprocess.run(argv, capture_output=True, text=True).stderr


@pytest.mark.skipif(SSHD is None, reason="needs Debian's openssh-server")
def test_ssh_audit_judges_a_machine_behind_a_proxy_command_as_any_other(bare: None, sshd: Host) -> None:
    leads = (sys.executable, "-c", LEADS, str(sshd.port))
    (near,) = scanners.scan(replace(SERVER, port=sshd.port), ["ssh-audit"], lambda _: None)
    (behind,) = scanners.scan(replace(SERVER, port=1, proxy_command=leads), ["ssh-audit"], lambda _: None)
    assert "aes128-cbc" in {one.rule for one in behind.observations}
    assert behind == near


def test_a_way_that_leads_nowhere_is_no_result_of_ssh_audits(bare: None) -> None:
    leads = ("sh", "-c", "echo the gateway is shut >&2; exit 1")
    with pytest.raises(HangarError) as caught:
        scanners.scan(replace(SERVER, proxy_command=leads), ["ssh-audit"], lambda _: None)
    assert caught.value.brief == "ssh-audit gave no answer."
    assert caught.value.details.startswith("the gateway is shut\ndid not receive banner")


def test_a_port_that_nobody_answers_is_no_result_of_ssh_audits(bare: None) -> None:
    with pytest.raises(HangarError) as caught:
        scanners.scan(replace(SERVER, port=1), ["ssh-audit"], lambda _: None)
    assert caught.value.brief == "ssh-audit gave no answer."
    assert caught.value.details.startswith("cannot connect to 127.0.0.1 port 1")
