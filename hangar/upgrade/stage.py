"""An upgrade in its order: plan, prove, back up, drain, keep, upgrade, prove again; undone where that does not hold."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hangar import lock, pipeline
from hangar.cloud import cloud_for
from hangar.cloud.base import Cloud, Server
from hangar.config import Config
from hangar.console import Progress
from hangar.errors import HangarError
from hangar.upgrade import checkout, planning
from hangar.upgrade.attempt import Attempt, Done
from hangar.upgrade.machine import Machine
from hangar.upgrade.records import Plan


class NotPossible(HangarError):
    """The plan holds something that is not done by itself; nothing was touched."""


def plan(config: Config) -> Plan:
    """What `apply` would change on the machine. Only hosts.yml and Debian's lists are written."""
    with _at_work(config, "plan") as (progress, _, server), Machine(server) as there:
        return _plan(config, there, progress)


def apply(
    config: Config, agree: Callable[[Plan], None], *, without_backup: bool = False, minutes: float = 60.0,
    break_lock: bool = False,
) -> Done:  # fmt: skip
    """Upgrades the machine, once `agree` has returned. Tasks that run get so many `minutes` to end by themselves.

    Raises:
        NotPossible: something in the plan is refused, or no backup is configured. Nothing was touched.
        Undone: it failed, and what was there before is in service again.
        HalfWay: it failed, and so did the way back.
        HangarError: it stopped before anything was upgraded.
    """
    with (
        _at_work(config, "apply") as (progress, cloud, server),
        cloud.hold(_named("apply", config), break_lock=break_lock),
        Machine(server) as there,
    ):
        wanted = _plan(config, there, progress)
        require_possible(wanted)
        if not wanted.has_changes:
            return Done(wanted)
        require_backup(config, without_backup=without_backup)
        agree(wanted)
        return Attempt(config, server, there, progress, wanted).make(minutes, without_backup=without_backup)


def require_possible(wanted: Plan) -> None:
    """Returns when nothing in the plan is refused.

    Raises:
        NotPossible: with every reason.
    """
    if wanted.refusals:
        raise NotPossible(
            "This upgrade is not made by itself; nothing was touched.",
            "\n".join(f"* {one.text}" for one in wanted.refusals),
            "\n".join(one.cure for one in wanted.refusals),
        )


def require_backup(config: Config, *, without_backup: bool) -> None:
    """Returns when a backup can be made first, or somebody wants none.

    Raises:
        NotPossible: no backup is configured.
    """
    if not config.backup.enabled and not without_backup:
        env = config.environment
        raise NotPossible(
            "A backup comes first, and none is configured; nothing was touched.", "",
            f"Switch it on (platform.yml: backup.enabled), then: ./provision.py up {env}\n"
            f"Or go without: ./provision.py upgrade apply {env} --without-backup",
        )  # fmt: skip


def _plan(config: Config, there: Machine, progress: Progress) -> Plan:
    with progress.stage("Plan"):
        progress.report("ask the machine what it has")
        facts = there.look()
        return planning.plan(facts, checkout.wanted(config, facts.revision))


@contextmanager
def _at_work(config: Config, action: str) -> Iterator[tuple[Progress, Cloud, Server]]:
    """The environment is ours alone, and SSH knows its machine."""
    with lock.held(config.environment, _named(action, config)), Progress() as progress:
        cloud = cloud_for(config)
        with progress.stage("Connection"):
            server = pipeline.require_server(config, cloud)
            pipeline.introduce(server, config, configures=action == "apply")
        yield progress, cloud, server


def _named(action: str, config: Config) -> str:
    return f"provision.py upgrade {action} {config.environment}"
