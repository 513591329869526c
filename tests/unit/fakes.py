"""Stand-ins that keep the protocol, remember what was asked of them, and fail on demand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from hangar.cloud.base import MachineSpec, Plan, Removal, Report, Server
from hangar.cloud.local.comparison import Observed, make_plan
from hangar.errors import CloudError

SERVER = Server(
    name="hangar-local", environment="local", cloud="container", id="one", address="127.0.0.1", port=2222,
    admin="hangar", host_keys=("ssh-ed25519 AAAA",), ssh_sources=("172.17.0.1/32",), limits=("vm",),
)  # fmt: skip


@dataclass
class FakeCloud:
    """A place with at most one machine."""

    spec: MachineSpec | None = None
    running: bool = True
    recipe: str = "r1"
    fail_at: str = ""
    guarded: bool = False
    held: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fail_at:
            raise CloudError(f"{name} failed.")

    def prepare(self, report: Report) -> None:
        self._called("prepare")

    @contextmanager
    def hold(self, command: str, *, break_lock: bool = False) -> Iterator[None]:
        self.held.append(f"{command} --break-lock" if break_lock else command)
        try:
            yield
        finally:
            self.held.append("let go")

    def plan(self, spec: MachineSpec) -> Plan:
        self._called("plan")
        return replace(make_plan(spec, self._observe()), guarded=self.guarded)

    def _observe(self) -> Observed:
        if self.spec is None:
            return Observed(exists=False, running=False, recipe_now="r1")
        return Observed(
            exists=True, running=self.running, spec=self.spec, recipe=self.recipe, recipe_now="r1"
        )

    def ensure(self, plan: Plan, spec: MachineSpec, report: Report) -> Server:
        self._called("ensure")
        self.spec, self.running, self.recipe = spec, True, "r1"
        return SERVER

    def server(self) -> Server | None:
        self._called("server")
        return SERVER if self.spec and self.running else None

    def removal(self, *, with_data: bool) -> Removal:
        return Removal(("hangar-local with all its data (DAGs, databases, secrets)",))

    def destroy(self, report: Report, *, with_data: bool) -> list[str]:
        self._called("destroy")
        removed = ["container hangar-local"] if self.spec else []
        self.spec = None
        return removed

    def console(self) -> str:
        return ""
