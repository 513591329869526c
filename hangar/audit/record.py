"""The record of an audit, from which its page and its JSON are made."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["held", "failed", "excepted", "not applicable"]

VERDICTS: tuple[Verdict, ...] = ("failed", "held", "excepted", "not applicable")


@dataclass(frozen=True)
class Exemption:
    """Why a control is left open. Without `owner` and `until` it is the house's own."""

    control: str
    reason: str
    instead: str = ""
    owner: str = ""
    until: str = ""


@dataclass(frozen=True)
class Observation:
    """One thing that a scanner found fault with. `answer` says why that is no fault; empty where nobody has said so."""

    scanner: str
    rule: str
    text: str
    answer: str = ""


@dataclass(frozen=True)
class Scan:
    """A scanner that ran. `score` is its own figure, in its own words."""

    scanner: str
    version: str
    score: str
    observations: tuple[Observation, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One control: its verdict, why, the command that shows it, and what scanners say of it."""

    control: str
    role: str
    promise: str
    sources: tuple[str, ...]
    verdict: Verdict
    reason: str = ""
    show: str = ""
    exemption: Exemption | None = None
    observations: tuple[Observation, ...] = ()


@dataclass(frozen=True)
class Change:
    """Something that is another than before: a control, another promise (its sentence) or a scanner's score, under its
    name in `control`; `before` or `after` is empty where there was nothing to say of it.
    """

    control: str
    promise: str
    before: str
    after: str


@dataclass(frozen=True)
class Audit:
    """One audit of one machine. `taken` is in UTC, as ISO 8601. `by` is the account on the machine, which several
    people may share; `key` is the fingerprint of the key that signs, which one of them has. `passed_over` says which
    earlier audits it was not compared with, because they are not as somebody signed them.
    """

    environment: str
    machine: str
    kind: str
    taken: str
    by: str
    findings: tuple[Finding, ...]
    promises_broken: tuple[str, ...] = ()
    scans: tuple[Scan, ...] = ()
    unmapped: tuple[Observation, ...] = ()
    since: str = ""
    changes: tuple[Change, ...] = ()
    passed_over: tuple[str, ...] = ()
    key: str = ""

    def of(self, verdict: Verdict) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict == verdict)

    @property
    def counts(self) -> dict[str, int]:
        return {verdict: len(self.of(verdict)) for verdict in VERDICTS}

    @property
    def exit_code(self) -> int:
        return 3 if self.of("failed") or self.promises_broken else 0


def as_dict(audit: Audit) -> dict[str, Any]:
    """The audit for programs, with its counts first."""
    return {"counts": audit.counts, **asdict(audit)}
