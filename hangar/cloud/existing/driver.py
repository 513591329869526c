"""The driver for a machine that is there already: it looks, and makes nothing but a group."""

import contextlib
import hashlib
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from hangar import machine, paths, process
from hangar.cloud.base import Jump, MachineSpec, Plan, Removal, Report, Server
from hangar.cloud.existing.probe import ADMINS, PATIENCE, Facts, look
from hangar.plan import Change
from hangar.ssh import call, client_config, jump, known_hosts

if TYPE_CHECKING:
    from hangar.config import Config

JOIN = (
    "getent group {group} >/dev/null || groupadd --system {group}; usermod --append --groups {group} {user}"
)


class ExistingCloud:
    """One environment's machine, by its address, account and pinned host keys."""

    def __init__(self, config: "Config") -> None:
        self.config = config
        self._facts: Facts | None = None

    def prepare(self, report: Report) -> None:
        report(f"look at {self.config.existing.address}")
        self._look()

    def hold(self, command: str, *, break_lock: bool = False) -> contextlib.AbstractContextManager[None]:
        """Nothing outside this computer holds a lock for such a machine; this computer's own has to do."""
        return contextlib.nullcontext()

    def plan(self, spec: MachineSpec) -> Plan:
        facts = self._look()
        resource = f"machine {self.config.server_name}"
        where = f"{self.config.existing.user}@{self.config.existing.address}, {facts.name}"
        if facts.is_member:
            return Plan((Change(resource, "nothing", where),))
        joins = (f"{self.config.existing.user} in group {ADMINS}", "no", "yes")
        return Plan(
            (Change(resource, "update", f"{where}; that group alone may log in", (joins,)),), guarded=True
        )

    def ensure(self, plan: Plan, spec: MachineSpec, report: Report) -> Server:
        server = self.server()
        if plan.has_changes:
            report(f"add {server.admin} to {ADMINS}")
            script = JOIN.format(group=ADMINS, user=shlex.quote(server.admin))
            process.bounded(call.argv(server, "sudo -n sh -s"), input=script, timeout=PATIENCE)
        return server

    def server(self) -> Server:
        """The machine as platform.yml names it; whether it answers is another question."""
        there = self.config.existing
        server = Server(
            name=self.config.server_name,
            environment=self.config.environment,
            cloud="existing",
            id=self._id(),
            address=there.address or "",
            port=there.port,
            admin=there.user or "",
            host_keys=there.host_key,
            ssh_sources=there.ssh_sources,
            jump=self._jump(),
        )
        if server.jump is None:
            return server
        key = machine.private_key(self.config)
        return replace(server, proxy_command=jump.command(server, server.jump, server.jump.user, key))

    def _jump(self) -> Jump | None:
        passed = self.config.existing.jump
        return (
            Jump(passed.address, passed.port, passed.user or "", passed.host_key) if passed.address else None
        )

    def removal(self, *, with_data: bool) -> Removal:
        name, address = self.config.server_name, self.config.existing.address
        return Removal(
            (f"what this computer knows of {name}",),
            (f"the machine at {address} itself, as it is now, with all its data",),
            takes_data=False,
            guarded=True,
        )

    def destroy(self, report: Report, *, with_data: bool) -> list[str]:
        """The machine is somebody's own: it is left alone, and needs not even answer."""
        return []

    def console(self) -> str:
        """Nobody but its owner sees it."""
        return ""

    def _look(self) -> Facts:
        """Once a call. The keys of platform.yml are pinned before, so that the first login trusts them alone."""
        if self._facts is None:
            server, key = self.server(), machine.private_key(self.config)
            paths.ensure_state_dir(server.environment)
            known_hosts.pin(server, paths.known_hosts(server.environment))
            client_config.write(server, key)
            self._facts = look(server, key)
        return self._facts

    def _id(self) -> str:
        """Another address or other keys in platform.yml are another machine: whoever edits that file says so."""
        there = self.config.existing
        text = "\n".join((f"{there.address} {there.port}", *sorted(there.host_key)))
        if there.jump.address:
            text += "\n".join(("", f"{there.jump.address} {there.jump.port}", *sorted(there.jump.host_key)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
