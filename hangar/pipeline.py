"""The stages in order. Each knows only what is handed to it; this page alone knows what comes after what."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from hangar import arrival, consent, console, forgetting, inventory, lock, machine, playbook, verification
from hangar.airbyte import stage
from hangar.airbyte.load import Declared, load
from hangar.airbyte.records import Step
from hangar.backup import keys
from hangar.backup import work as backup
from hangar.cloud import cloud_for
from hangar.cloud.base import Cloud, Server
from hangar.config import Config
from hangar.console import Progress
from hangar.elt import first_run
from hangar.elt import machine as elt
from hangar.elt.records import Gold
from hangar.errors import HangarError, MachineMissing
from hangar.paths import known_hosts
from hangar.plan import Plan, Removal
from hangar.playbook import Recap
from hangar.report import Report, show_plan
from hangar.ssh import client_config, include, tunnel
from hangar.ssh.keys import read_public_key
from hangar.ssh.known_hosts import pin


def up(config: Config, *, allow_replace: bool = False, break_lock: bool = False, restore: str = "") -> Report:
    """Makes the machine, configures it and proves it; what is right already stays untouched. With `restore` (a
    backup's name, or `latest`) the machine gets the data of a backup.
    """
    declared = declared_pipelines(config)
    with _at_work(config, "up") as (progress, cloud), ExitStack() as held:
        if restore:
            with progress.stage("Backup"):
                wanted = backup.require(config, restore, progress.report)
        with progress.stage("Machine"):
            cloud.prepare(progress.report)
            held.enter_context(cloud.hold(_named("up", config), break_lock=break_lock))
            if restore:
                consent.agree_to_lose(config, cloud, wanted.id)
            made, server = ensure_machine(config, cloud, progress, allow_replace=allow_replace)
        with progress.stage("Connection"):
            introduce(server, config, configures=True)
            arrival.wait(server, cloud, progress.report, is_new=made.has_changes)
        with progress.stage("Playbook"):
            recap = configure(config, progress)
            backup.meet(config)
        if restore:
            with progress.stage("Restore"):
                backup.put_back(config, wanted, progress.report)
        steps: tuple[Step, ...] = ()
        if declared is not None:
            with progress.stage("Pipelines"), stage.connected(server) as airbyte:
                steps = stage.ensure(
                    airbyte, config.environment, declared, progress.step, stage.require_consent
                )
        gold, started = None, False
        if first_run.is_wanted(config, declared):
            with progress.stage("First run"), elt.connected(server, config) as pipelines:
                gold, started = first_run.ensure(pipelines, config.environment, progress.step)
        with progress.stage("Verification"):
            promises = verification.verify(server, progress.step)
        with progress.stage("Tunnel"):
            forwards = tunnel.ensure(server, machine.services(config))
        changed = made.count + recap.changed + sum(step.action != "nothing" for step in steps) + started
        gold = gold or gold_tables(config, server)
        return Report(
            config, server, datetime.now(UTC), promises, forwards, progress.timings, changed, gold,
            recap.seconds_by_role,
        )  # fmt: skip


def verify(config: Config) -> Report:
    """Proves the machine again and changes nothing."""
    with _at_work(config, "verify") as (progress, cloud):
        with progress.stage("Connection"):
            server = require_server(config, cloud)
            introduce(server, config)
        with progress.stage("Verification"):
            promises = verification.verify(server, progress.step)
        forwards, gold = tunnel.current(config.environment), gold_tables(config, server)
        return Report(config, server, datetime.now(UTC), promises, forwards, progress.timings, None, gold)


def plan(config: Config) -> tuple[Plan, Recap | None]:
    """What `up` would change: of the machine, and on it. The latter is None while no machine runs.

    Writes hosts.yml when the machine runs, so that Ansible can be used by itself.

    Raises:
        HangarError: what is on it could not be looked at. What is known of the machine itself was shown: it may be why
            (a firewall rule that somebody removed, say).
    """
    with _at_work(config, "plan") as (progress, cloud):
        with progress.stage("Machine"):
            spec = machine.spec(config, make_key=False)
            wanted = cloud.plan(spec)
            server = cloud.server()
        if server is None or wanted.replaces:
            return wanted, None
        try:
            introduce(server, config, configures=True)  # by what is written Ansible may do so by itself
            with progress.stage("Playbook"):
                return wanted, configure(config, progress, check=True)
        except HangarError:
            show_plan(wanted)
            console.note("This is the plan of the machine alone: what is on it could not be looked at.")
            raise


def removal(config: Config, *, with_data: bool) -> Removal:
    """What `destroy` would remove, and what it would leave."""
    return cloud_for(config).removal(with_data=with_data)


def destroy(
    config: Config, *, with_data: bool = True, break_lock: bool = False, is_unsure: bool = False
) -> list[str]:
    """Removes the machine and what this computer knows of it; returns what was removed. `is_unsure`: the settings are
    not those of platform.yml, which could not be read.
    """
    environment = config.environment
    with (
        _at_work(config, "destroy") as (progress, cloud),
        progress.stage("Removal"),
        cloud.hold(_named("destroy", config), break_lock=break_lock),
    ):
        closed = ["the forwards"] if tunnel.stop(environment) else []
        gone = cloud.destroy(progress.report, with_data=with_data)
        # What stays in the cloud has backups of its own, for which this is the only key.
        stays = bool(cloud.removal(with_data=with_data).stays)
        removed = forgetting.forget(config, data_stays=stays, is_unsure=is_unsure)
        return [*closed, *gone, *include.remove(environment), *removed]


def resize(config: Config, *, break_lock: bool = False) -> Plan:
    """The machine's part of `up` alone: its type and its disks are as the settings say, and it admits us again."""
    with _at_work(config, "resize") as (progress, cloud), ExitStack() as held:
        with progress.stage("Machine"):
            cloud.prepare(progress.report)
            held.enter_context(cloud.hold(_named("resize", config), break_lock=break_lock))
            made, server = ensure_machine(config, cloud, progress)
        with progress.stage("Connection"):
            introduce(server, config)
            arrival.wait(server, cloud, progress.report, is_new=made.has_changes)
        return made


def ensure_machine(
    config: Config, cloud: Cloud, progress: Progress, *, allow_replace: bool = False
) -> tuple[Plan, Server]:
    """The machine runs as the settings say. Asks before it throws one away, and before any change of a guarded one."""
    spec = machine.spec(config, make_key=True)
    wanted = cloud.plan(spec)
    consent.agree(wanted, config, allow_replace=allow_replace)
    return wanted, cloud.ensure(wanted, spec, progress.report)


def _named(command: str, config: Config) -> str:
    return f"provision.py {command} {config.environment}"


def require_server(config: Config, cloud: Cloud) -> Server:
    """The running machine, or MachineMissing."""
    server = cloud.server()
    if server is None:
        raise MachineMissing(config.environment)
    return server


def introduce(server: Server, config: Config, *, configures: bool = False) -> None:
    """SSH and Ansible know the machine: host keys pinned, client configuration and inventory written. `configures`: so
    the machine may get a key for its backups, which is made where none is here.

    Raises:
        HangarError: the operator's key is not here. Nothing was written then: it would be taken for a way in.
    """
    private_key = machine.private_key(config)
    read_public_key(private_key)
    if configures:
        keys.ensure(config)
    pin(server, known_hosts(server.environment))
    client_config.write(server, private_key)
    inventory.write_hosts(server, config)


def configure(config: Config, progress: Progress, *, check: bool = False) -> Recap:
    """The playbook, or in check mode what it would change."""
    return playbook.run(
        config.environment, check=check, diff=check, on_event=lambda event: progress.step(*event)
    )


def declared_pipelines(config: Config) -> Declared | None:
    """What Airbyte is to hold, so that the DAGs find their connections; None on a machine that lacks either end.

    Raises:
        ConfigError: with every problem of every file.
    """
    return load(config) if config.airbyte.enabled and config.warehouse.enabled else None


def gold_tables(config: Config, server: Server) -> Gold | None:
    """What the warehouse has to show, or why it cannot be read: a report tells that, it does not fail by it."""
    if not config.warehouse.enabled:
        return None
    try:
        with elt.connected(server, config) as pipelines:
            return first_run.look(pipelines)
    except HangarError as error:
        return Gold(problem=error.brief)


@contextmanager
def _at_work(config: Config, command: str) -> Iterator[tuple[Progress, Cloud]]:
    """The environment is ours alone, and what we do is shown."""
    with lock.held(config.environment, _named(command, config)), Progress() as progress:
        yield progress, cloud_for(config)
