"""Controls + promises + exceptions + scans → findings. Pure: nothing here asks a machine."""

from collections.abc import Iterable, Mapping, Sequence

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
    proofs = [one for test in control.proved_by for one in by_test.get((control.role, test), ())]
    verdict, reason = _verdict(proofs, exemption)
    said = tuple(one for scan in scans for one in scan.observations if _speaks_of(one, control))
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


def compare(old: Mapping[str, tuple[str, str]], new: Mapping[str, tuple[str, str]]) -> tuple[Change, ...]:
    """The controls whose verdict changed, came or went; both by control, as (verdict, promise)."""
    found = []
    for name in [*new, *(name for name in old if name not in new)]:
        before, after = old.get(name, ("", ""))[0], new.get(name, ("", ""))[0]
        if before != after:
            promise = (new.get(name) or old[name])[1]
            found.append(Change(name, promise, before, after))
    return tuple(found)
