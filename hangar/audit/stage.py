"""The audit of a machine, in its order: scan, prove, judge, compare with the last time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hangar import contracts, lock, machine, paths, pipeline, verification
from hangar.audit import assess, files, scanners
from hangar.audit.record import Audit, Exemption, as_dict
from hangar.cloud import cloud_for
from hangar.console import Progress
from hangar.controls import controls
from hangar.report import words
from hangar.ssh import known_hosts
from hangar.ssh.keys import read_public_key

if TYPE_CHECKING:
    from hangar.config import Config


def audit(config: "Config", asked: Sequence[str]) -> Audit:
    """The evidence for a machine as it is now. Nothing changes on it, but that scanners asked for are installed."""
    env = config.environment
    last = files.last(env)
    with lock.held(env, f"provision.py audit {env}"), Progress() as progress:
        with progress.stage("Connection"):
            server = pipeline.require_server(config, cloud_for(config))
            pipeline.introduce(server, config)
            files.require_signing(machine.private_key(config))
        # Before the promises, which take longer: a scanner that was asked for and gives no result ends the audit.
        with progress.stage("Scanners"):
            scans = scanners.scan(server, asked, progress.report)
        with progress.stage("Verification"):
            promises = verification.verify(server, progress.step)
    findings = assess.assess(controls(), promises, exemptions(env), scans)
    proving = {
        (one.role, test, name) for one in controls() for test in one.proved_by for name in ("", one.name)
    }
    taken = Audit(
        environment=env,
        machine=server.name,
        kind=words.kind(server),
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
        by=server.admin,
        findings=findings,
        promises_broken=tuple(
            promise.sentence
            for promise in promises
            if promise.outcome == "broken" and (promise.role, promise.test, promise.control) not in proving
        ),
        scans=scans,
        unmapped=assess.unmapped(controls(), scans),
        since=str(last.data.get("taken", "")),
        passed_over=last.passed_over,
        key=known_hosts.fingerprint(read_public_key(machine.private_key(config))),
    )
    return replace(taken, changes=assess.compare(last.data, as_dict(taken))) if last.data else taken


def exemptions(env: str) -> dict[str, Exemption]:
    """What is left open on purpose, by control: the house's own, then those of platform.yml."""
    options = contracts.effective_options(paths.hosts_file(env))
    entries = [*options["hardening_system_exceptions"], *options["hardening_system_own_exceptions"]]
    return {
        entry["control"]: Exemption(**{name: str(value) for name, value in entry.items()})
        for entry in entries
    }
