"""GoogleCloud: the Cloud protocol on Compute Engine."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from hangar import console, given
from hangar.cloud.base import MachineSpec, Plan, Removal, Report, Server
from hangar.cloud.gcp import (
    admission,
    comparison,
    cost,
    drift,
    host_keys,
    iap,
    machine,
    making,
    reading,
    removal,
    snapshots,
    watching,
)
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import Conflict, OutOfStock, StillAtWork
from hangar.cloud.gcp.fit import require_fit
from hangar.cloud.gcp.host_keys import console_tail
from hangar.cloud.gcp.lock import Lock
from hangar.cloud.gcp.names import Names
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import IAP_RANGES, IAP_RANGES_6, Wanted
from hangar.cloud.gcp.work import Work, cut_short, elsewhere, left_over
from hangar.config import Config
from hangar.config.people import operators
from hangar.errors import CloudError, ConfigError

ROUNDS = 6
"""How often ensure looks again when somebody, or an earlier try of ours, was quicker."""

ROUND_PAUSE = 2.0
"""Seconds before another look."""


class GoogleCloud:
    """The machine of one environment and all that belongs to it. Nothing of its state is kept here."""

    def __init__(self, config: Config, api: Api | None = None) -> None:
        gcp = config.gcp
        if gcp.project is None or gcp.zone is None:
            raise ValueError("platform.yml lets no such settings through")
        self.config = config
        self.names = Names(config.environment, gcp.project, gcp.zone)
        self.api = api or Api(gcp.project, config.environment, gcp.api_endpoint)
        self._lock = Lock(self.api, self.names, gcp.lock_bucket)
        self._seen: tuple[Wanted, Existing] | None = None

    def prepare(self, report: Report) -> None:
        """Credentials are here, and nothing in the project contradicts us."""
        report("look at your Google login")
        self.api.session.renew()

    def hold(self, command: str, *, break_lock: bool = False) -> AbstractContextManager[None]:
        return self._lock.held(command, break_lock=break_lock)

    def plan(self, spec: MachineSpec) -> Plan:
        wanted, existing = self.look(spec)
        keys = [key for person in operators(self.config.people) for key in person.keys]
        if hint := drift.another_operator(existing, spec.public_key, keys):
            console.note(hint)
        return Plan(
            changes=comparison.changes(wanted, existing),
            cost=cost.estimate(wanted, existing),
            drift=drift.by_hand(wanted, existing),
            guarded=True,
        )

    def ensure(self, plan: Plan, spec: MachineSpec, report: Report) -> Server:
        """Returns when the machine's host keys are known; whether it admits us the next stage finds out.

        Raises:
            CloudError: with what was made before, and how to go on or be rid of it.
        """
        work = Work(self.api, report)
        _, first = self._seen or self.look(spec)
        with self._told(first, work):
            wanted = self._make(plan, spec, work)
            instance = host_keys.ensure(self.api, wanted, report)
        self._seen = None
        return self._server(instance)

    @contextmanager
    def _told(self, first: Existing, work: Work) -> Iterator[None]:
        """What fails also says what came of the work before it. `first` is what there was."""
        try:
            yield
        except KeyboardInterrupt:
            if what := cut_short(work, first, self.names.environment):
                console.note(what)
            raise
        except CloudError as error:
            if isinstance(error, OutOfStock):
                elsewhere(error, self.other_zones(), first, self.names)
            if isinstance(error, StillAtWork) and "/instances/" in error.target:
                error.details += f"\n* The end of the machine's console:\n{self.console()}"
            left_over(error, work, first, self.names.environment)
            raise

    def _make(self, plan: Plan, spec: MachineSpec, work: Work) -> Wanted:
        wanted, existing = self._seen or self.look(spec)
        for attempt in range(ROUNDS):
            if attempt:
                self.api.sleep(ROUND_PAUSE * attempt)
                wanted, existing = self.look(spec)
            try:
                if self._replaces(plan, wanted, existing) and existing.instance:
                    machine.discard(self.api, wanted, existing, work)
                    existing = replace(existing, instance=None, boot_disk=None)
                    wanted = replace(wanted, spec=spec if spec.public_key else wanted.spec)
                making.make(self.api, wanted, existing, work)
            except Conflict:
                if attempt == ROUNDS - 1:
                    raise
                continue
            break
        self._seen = (wanted, existing)
        return wanted

    def _replaces(self, plan: Plan, wanted: Wanted, existing: Existing) -> bool:
        """Whether the machine is thrown away. Only what was agreed to is, and nothing else stops it either."""
        now = Plan(comparison.changes(wanted, existing))
        if (now.replaces and not plan.replaces) or (now.stops and not (plan.stops or plan.replaces)):
            raise CloudError(
                f"{self.names.machine} was changed while you looked at the plan.", "",
                f"Look again: ./provision.py plan {self.names.environment}",
            )  # fmt: skip
        return now.replaces

    def look(self, spec: MachineSpec) -> tuple[Wanted, Existing]:
        """What is wanted, and everything that there is, read now."""
        wanted = Wanted(
            self.names, self.config.gcp, spec, admission.users(self.config.people), given.given(self.config),
            watching.watch(self.config),
        )  # fmt: skip
        existing = reading.read(self.api, wanted)
        require_fit(wanted, existing)
        wanted = comparison.adapted(wanted, existing)
        self._seen = (wanted, existing)
        return self._seen

    def server(self) -> Server | None:
        """What `plan` has just read is not asked again."""
        instance = self._seen[1].instance if self._seen else self.api.compute.find(self.names.instance)
        if instance is None or instance.get("status") != "RUNNING" or not host_keys.recorded(instance):
            return None
        return self._server(instance)

    def _server(self, instance: reading.Body) -> Server:
        return Server(
            name=self.names.machine,
            environment=self.names.environment,
            cloud="gcp",
            id=str(instance["id"]),
            address=instance["networkInterfaces"][0].get("networkIP", self.names.machine),
            port=22,
            admin=self.config.access.admin,
            host_keys=host_keys.recorded(instance),
            ssh_sources=(*IAP_RANGES, *IAP_RANGES_6),
            proxy_command=iap.proxy_command(
                self.names.project,
                self.names.zone,
                self.names.machine,
                endpoint=self.config.gcp.tunnel_endpoint,
                means=self.config.gcp.tunnel,
            ),
        )

    def removal(self, *, with_data: bool) -> Removal:
        wanted, existing = self._look_for_removal()
        kept = snapshots.found(self.api, self.names)
        return removal.removal(wanted, existing, kept, with_data=with_data)

    def destroy(self, report: Report, *, with_data: bool) -> list[str]:
        wanted, existing = self._look_for_removal()
        removed = removal.remove(self.api, wanted, existing, Work(self.api, report), with_data=with_data)
        self._lock.forget_bucket = True
        return removed

    def _look_for_removal(self) -> tuple[Wanted, Existing]:
        """No matter what platform.yml wants of it: what is there may go."""
        wanted = Wanted(self.names, self.config.gcp, nobody(self.names))
        watched = watching.watch(self.config) is not None
        return wanted, reading.read(self.api, wanted, also=self._secrets_named(), watched=watched)

    def _secrets_named(self) -> list[str]:
        """Beside those that the machine itself remembers; there may be none any more."""
        try:
            return [one.resource for one in given.given(self.config)]
        except ConfigError:
            return []  # what pipelines/*.yml say wrongly keeps no machine alive

    def console(self) -> str:
        return console_tail(self.api, self.names)

    def other_zones(self) -> list[str]:
        """Those of the region that work; none where Google does not say."""
        try:
            zones = self.api.compute.items(f"{self.names.root}/zones", f'name eq "{self.names.region}-.*"')
        except CloudError:
            return []  # this is only a hint beside another error
        return sorted(
            one["name"] for one in zones if one.get("status") == "UP" and one["name"] != self.names.zone
        )


def nobody(names: Names) -> MachineSpec:
    """A specification for where nothing is made."""
    return MachineSpec(names.environment, names.machine, None, None, None, "hangar", "")
