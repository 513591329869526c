"""Scanners of others: how each is run on the machine, and what its answer says."""

import importlib.util
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from xml.etree import ElementTree

from hangar import process
from hangar.audit import local_port
from hangar.audit.record import Observation, Scan
from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.ssh import call

TIMEOUT = 3600.0
"""Seconds. Lynis takes one minute where it is alone, and took half an hour of an emulated processor beside services
that started; OpenSCAP several.
"""

MOST = 128 << 20
"""Bytes of one answer; OpenSCAP's is some ten MiB. A machine that is audited may not be its owner's any more."""

OPENSCAP_PROFILE = "xccdf_org.ssgproject.content_profile_anssi_bp28_enhanced"

WAY_PATIENCE = 60
"""Seconds for an answer over a proxy command: Google's tunnel takes several to open."""

LYNIS_REPORT = "/var/log/lynis-report.dat"
OPENSCAP_REPORT = "/var/lib/hangar/openscap.xml"
OPENSCAP_RULES = "/var/lib/hangar/openscap-rules.xml"
OPENSCAP_CONTENT = "/usr/share/xml/scap/ssg/content"


@dataclass(frozen=True)
class Scanner:
    """A scanner of Debian's. `present` looks for it on the machine; `command` prints what it found and ends with its
    status, `whole` are those of a scan that got to its end.
    """

    name: str
    packages: tuple[str, ...]
    present: str
    command: str
    whole: tuple[int, ...]
    read: Callable[[str], Scan]


def read_lynis(text: str) -> Scan:
    """A report of Lynis (lynis-report.dat): its warnings and suggestions.

    Raises:
        HangarError: it has no hardening index, which Lynis writes last.
    """
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    found = [
        Observation("lynis", parts[0], " ".join(part for part in parts[1:] if part not in ("-", "")))
        for line in text.splitlines()
        if line.startswith(("warning[]=", "suggestion[]="))
        for parts in [line.split("=", 1)[1].split("|")]
    ]
    index = values.get("hardening_index", "")
    if not index.isdigit():
        raise HangarError(
            "The report of Lynis is not whole.", "* It has no hardening index, which comes last."
        )
    return Scan("lynis", values.get("lynis_version", ""), f"hardening index {index}", tuple(found))


def read_openscap(text: str) -> Scan:
    """Results of OpenSCAP (XCCDF): the rules that failed.

    Raises:
        HangarError: they cannot be read, or no rule was judged.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise HangarError("The answer of OpenSCAP cannot be read.", str(error)) from error
    rules = [one for one in root.iter() if one.tag.endswith("}rule-result")]
    outcomes = [(_rule(one.get("idref", "")), _text(one, "result")) for one in rules]
    release = re.search(r"DEBIAN-(\d+)$", root.get("id", ""))
    whose = "ANSSI BP-028" + (f" for Debian {release[1]}" if release else "")
    failed = [Observation("openscap", rule, "failed") for rule, outcome in outcomes if outcome == "fail"]
    passed = sum(outcome == "pass" for _, outcome in outcomes)
    if not passed and not failed:
        counted = Counter(outcome for _, outcome in outcomes)
        raise HangarError(
            "OpenSCAP judged no rule on this machine.",
            "\n".join(f"* {outcome}: {count} rules" for outcome, count in counted.items())
            or "* It names no rules.",
            "Its rules (Debian's package ssg-debian) have to be for this Debian. Without it: leave openscap out.",
        )
    return Scan("openscap", "", f"{passed} of {passed + len(failed)} rules of {whose}", tuple(failed))


def _rule(idref: str) -> str:
    return idref.rsplit("content_rule_", 1)[-1]


def _text(element: ElementTree.Element, name: str) -> str:
    return next((child.text or "" for child in element if child.tag.endswith("}" + name)), "")


def read_ssh_audit(text: str) -> Scan:
    """The answer of ssh-audit (JSON): what it fails and warns of.

    Raises:
        HangarError: it cannot be read, or speaks of no algorithm.
    """
    try:
        told = json.loads(text)
    except ValueError as error:
        raise HangarError("The answer of ssh-audit cannot be read.", str(error)) from error
    if not told.get("kex"):
        raise HangarError("ssh-audit was offered no algorithm that it could judge.", text[:200])
    found = [
        Observation("ssh-audit", entry["algorithm"], f"{level}: {note}")
        for kind in ("kex", "key", "enc", "mac")
        for entry in told.get(kind, ())
        for level in ("fail", "warn")
        for note in entry.get("notes", {}).get(level, ())
    ]
    counted = [sum(one.text.startswith(level) for one in found) for level in ("fail", "warn")]
    return Scan("ssh-audit", "", f"{counted[0]} fail, {counted[1]} warn", tuple(found))


SCANNERS = {
    "lynis": Scanner(
        "lynis", ("lynis",), "command -v lynis",
        # Removed first: a scan that does not begin would leave an earlier one's.
        f"sudo rm -f {LYNIS_REPORT} && cd / && sudo lynis audit system --quick --quiet --no-colors >/dev/null; "
        f"status=$?; sudo cat {LYNIS_REPORT}; exit $status",
        # 78: it found fault, and a profile of the machine's asks for a status of its own then.
        (0, 78), read_lynis,
    ),
    "openscap": Scanner(
        "openscap", ("openscap-scanner", "ssg-debian"), "command -v oscap",
        # Debian 13's package has the rules of Debian 12 as its newest, and those say of themselves that they are for no
        # other. In a copy they are for this release too; the score says whose they are.
        f". /etc/os-release; cd {OPENSCAP_CONTENT} && content=ssg-debian$VERSION_ID-ds.xml; "
        "[ -e \"$content\" ] || content=$(ls ssg-debian*-ds.xml | sort -V | tail -n 1); "
        "release=${content#ssg-debian}; release=${release%-ds.xml}; "
        r'sed "s#>^$release\([^0-9]\)#>^($release|$VERSION_ID)\1#" "$content" | '
        f"sudo tee {OPENSCAP_RULES} >/dev/null && sudo rm -f {OPENSCAP_REPORT} && cd /tmp && "
        f"sudo oscap xccdf eval --profile {OPENSCAP_PROFILE} --results {OPENSCAP_REPORT} {OPENSCAP_RULES} >/dev/null; "
        f"status=$?; sudo cat {OPENSCAP_REPORT}; sudo rm -f {OPENSCAP_REPORT} {OPENSCAP_RULES}; exit $status",
        # 2: a rule failed.
        (0, 2), read_openscap,
    ),
}  # fmt: skip

NAMES = (*SCANNERS, "ssh-audit")


def require_names(names: Sequence[str]) -> None:
    """Raises HangarError unless each is a scanner that we know, and the one that runs here is here: what comes before
    the scans takes minutes.
    """
    if strangers := [name for name in names if name not in NAMES]:
        raise HangarError(
            f"There is no scanner {', '.join(strangers)}.", f"Known: {', '.join(NAMES)}", "See: audit --help"
        )
    if "ssh-audit" in names:
        _require_ssh_audit()


def scan(server: Server, asked: Sequence[str], report: Callable[[str], None]) -> tuple[Scan, ...]:
    """Runs the scanners that were asked for (and installs those from Debian) and those that are there anyway.

    One that nobody asked for and that gives no result says so in place of its score.

    Raises:
        HangarError: one that was asked for gives no result.
    """
    found = []
    for scanner in SCANNERS.values():
        if scanner.name in asked or ask(server, scanner.present, check=False).returncode == 0:
            report(f"scan with {scanner.name}")
            found.append(_result(scanner.name, asked, partial(_scan_machine, server, scanner)))
    if "ssh-audit" in asked or importlib.util.find_spec("ssh_audit"):
        report("scan with ssh-audit")
        found.append(_result("ssh-audit", asked, partial(_scan_ssh, server)))
    return tuple(found)


def _result(name: str, asked: Sequence[str], run: Callable[[], Scan]) -> Scan:
    try:
        return run()
    except HangarError as error:
        if name in asked:
            raise
        return Scan(name, "", f"no result: {error.brief}")


def _scan_machine(server: Server, scanner: Scanner) -> Scan:
    packages = " ".join(scanner.packages)
    install = f"sudo DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends {packages}"
    ask(server, f"{scanner.present} >/dev/null || {install} >/dev/null")
    done = ask(server, scanner.command, check=False)
    if done.returncode not in scanner.whole:
        said = [f"* It says: {line.strip()}" for line in done.stderr.strip().splitlines()[-3:]]
        raise HangarError(
            f"{scanner.name} did not get to its end on {server.name}.",
            "\n".join([f"* It ended with {done.returncode}.", *said]),
            f"See whether it works there: ./provision.py ssh {server.environment}",
        )
    return scanner.read(done.stdout)


def _scan_ssh(server: Server) -> Scan:
    _require_ssh_audit()
    if not server.proxy_command:
        return _judge_port(server.address, server.port)
    # It knows no proxy command. A way begins anew for each of its connections, which takes seconds; hundreds of them
    # at once, which is how it measures their rate, would be hundreds of programs here.
    with local_port.opened(server.proxy_command) as found:
        options = ("--skip-rate-test", "--timeout", str(WAY_PATIENCE))
        return _judge_port("127.0.0.1", found.port, *options, said=found.said)


def _require_ssh_audit() -> None:
    if importlib.util.find_spec("ssh_audit") is None:
        raise HangarError("ssh-audit is not installed here.", "", "Install it: make environment")


def _judge_port(address: str, port: int, *options: str, said: Sequence[str] = ()) -> Scan:
    argv = [
        sys.executable,
        "-m",
        "ssh_audit.ssh_audit",
        "--json",
        "--no-colors",
        *options,
        "--port",
        str(port),
        address,
    ]
    done = process.bounded(argv, input="", check=False, timeout=TIMEOUT, most=MOST)
    # Where the connection ends early it prints an answer all the same, without the algorithms, and then why.
    fault = re.search(r"^\[exception\] (.*)", done.stdout, re.M)
    if fault or not re.match(r"\s*\{", done.stdout):
        lines = dict.fromkeys([*said, fault[1] if fault else done.stderr.strip() or done.stdout.strip()])
        raise HangarError("ssh-audit gave no answer.", "\n".join(filter(None, lines)))
    return read_ssh_audit(done.stdout)


def ask(server: Server, command: str, *, check: bool = True) -> process.Completed:
    """Runs a shell command on the machine."""
    argv = call.argv(server, command)
    return process.bounded(argv, input="", timeout=TIMEOUT, most=MOST, check=check)
