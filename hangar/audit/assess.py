"""Controls + promises + exceptions + scans → findings. Pure: nothing here asks a machine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hangar.audit.record import Change, Exemption, Finding, Observation, Scan, Verdict
from hangar.controls import LEFT_OPEN, Control
from hangar.verification import Promise


def assess(
    controls: Iterable[Control],
    promises: Sequence[Promise],
    exemptions: Mapping[str, Exemption],
    scans: Sequence[Scan] = (),
) -> tuple[Finding, ...]:
    """A finding for each control."""
    by_test: dict[tuple[str, str], list[Promise]] = {}
    for promise in promises:
        by_test.setdefault((promise.role, promise.test), []).append(promise)
    return tuple(_finding(control, by_test, exemptions.get(control.name), scans) for control in controls)


def _finding(
    control: Control,
    by_test: Mapping[tuple[str, str], Sequence[Promise]],
    exemption: Exemption | None,
    scans: Sequence[Scan],
) -> Finding:
    proofs = [
        one
        for test in control.proved_by
        for one in by_test.get((control.role, test), ())
        if one.control in ("", control.name)
    ]
    verdict, reason = _verdict(proofs, exemption)
    said = tuple(
        replace(one, answer=control.answers.get(one.rule, ""))
        for scan in scans
        for one in scan.observations
        if _speaks_of(one, control)
    )
    return Finding(
        control.name, control.role, control.promise, control.sources,
        verdict, reason, control.show, exemption, said,
    )  # fmt: skip


def _verdict(proofs: Sequence[Promise], exemption: Exemption | None) -> tuple[Verdict, str]:
    broken = [proof for proof in proofs if proof.outcome == "broken"]
    if broken:
        return "failed", "\n".join(f"{proof.sentence}: {proof.reason}" for proof in broken)
    if exemption:
        return "excepted", exemption.reason
    if not proofs:
        return "failed", "No test of the machine proves it."
    if excepted := [proof for proof in proofs if proof.outcome == "excepted"]:
        return "excepted", excepted[0].reason.removeprefix(LEFT_OPEN)
    if unchecked := [proof for proof in proofs if proof.outcome == "unchecked"]:
        # What was shown in part is not counted as held.
        partly = len(unchecked) < len(proofs)
        missing = "; ".join(dict.fromkeys(proof.sentence for proof in unchecked))
        return "not applicable", f"Shown in part. Not here: {missing}" if partly else unchecked[0].reason
    return "held", ""


def _speaks_of(observation: Observation, control: Control) -> bool:
    return observation.rule in control.scanners.get(observation.scanner, ())


def unmapped(controls: Iterable[Control], scans: Iterable[Scan]) -> tuple[Observation, ...]:
    """What scanners found fault with that no control speaks of."""
    known = {
        (scanner, rule)
        for control in controls
        for scanner, rules in control.scanners.items()
        for rule in rules
    }
    return tuple(one for scan in scans for one in scan.observations if (one.scanner, one.rule) not in known)


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """What is another than before; both are audits as their JSON has them.

    Controls by their verdict, and by the terms of their exception; then other promises that are broken, and what a
    scanner says that ran both times.
    """
    findings = _changed(_findings(old), _findings(new))
    broken = _changed(_broken(old), _broken(new))
    before, after = _scores(old), _scores(new)
    both = before.keys() & after.keys()
    scores = _changed(*({name: one[name] for name in one if name in both} for one in (before, after)))
    return (*findings, *broken, *scores)


Said = Mapping[str, tuple[str, str]]
"""What is spoken of → what is said of it, and the promise."""


def _changed(old: Said, new: Said) -> list[Change]:
    found = []
    for name in [*new, *(name for name in old if name not in new)]:
        before, after = old.get(name, ("", ""))[0], new.get(name, ("", ""))[0]
        if before != after:
            found.append(Change(name, (new.get(name) or old[name])[1], before, after))
    return found


def _findings(data: Mapping[str, Any]) -> Said:
    return {one["control"]: (_verdict_in_full(one), one["promise"]) for one in data["findings"]}


def _verdict_in_full(finding: Mapping[str, Any]) -> str:
    """With the terms of an exception: another owner, reason or day is another exception."""
    verdict, terms = str(finding["verdict"]), finding.get("exemption")
    if verdict != "excepted" or not terms:
        return verdict
    who = f" ({terms['owner']}, until {terms['until']})" if terms["owner"] else ""
    return f"{verdict}: {terms['reason']}{who}"


def _broken(data: Mapping[str, Any]) -> Said:
    return dict.fromkeys(data.get("promises_broken", ()), ("broken", ""))


def _scores(data: Mapping[str, Any]) -> Said:
    return {one["scanner"]: (one["score"], "") for one in data.get("scans", ())}
