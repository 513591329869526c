"""Stand-ins that keep the protocol, remember what was asked of them, and fail on demand."""

from dataclasses import dataclass, field

from hangar.cloud.base import MachineSpec, Observed, Plan, Report, Server
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
    calls: list[str] = field(default_factory=list)

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fail_at:
            raise CloudError(f"{name} failed.")

    def prepare(self, report: Report) -> None:
        self._called("prepare")

    def observe(self, spec: MachineSpec) -> Observed:
        self._called("observe")
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

    def destroy(self, report: Report) -> list[str]:
        self._called("destroy")
        removed = ["container hangar-local"] if self.spec else []
        self.spec = None
        return removed

    def console(self) -> str:
        return ""
