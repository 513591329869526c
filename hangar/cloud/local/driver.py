"""LocalCloud: the Cloud protocol on this computer's Docker engine, but for what makes a container a machine."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from requests import RequestException

from hangar import engine
from hangar.cloud.base import MachineSpec, Plan, Removal, Report, Server
from hangar.cloud.local.ownership import OWNER, other_checkout, ownership, volume_name
from hangar.cloud.local.ports import free_ports
from hangar.errors import CloudError

PORT_ATTEMPTS = 10
UNUSABLE = ("created", "dead")
"""Its making or its removal was interrupted."""


class LocalCloud(ABC):
    """The machine of one environment: a container of our name, whatever runs in it."""

    def __init__(self, environment: str, client: APIClient | None = None) -> None:
        self.environment = environment
        self.name = f"hangar-{environment}"
        self._client = client

    @property
    def client(self) -> APIClient:
        """The engine, asked when it is first needed."""
        if self._client is None:
            self._client = engine.connect()
        return self._client

    def prepare(self, report: Report) -> None:
        from hangar import checks  # which looks at this driver's needs

        checks.prepare(report)

    def hold(self, command: str, *, break_lock: bool = False) -> contextlib.AbstractContextManager[None]:
        """The machine is this computer's, whose own lock is enough."""
        return contextlib.nullcontext()

    def plan(self, spec: MachineSpec) -> Plan:
        with engine_errors():
            return self._plan(spec, self._usable())

    def ensure(self, plan: Plan, spec: MachineSpec, report: Report) -> Server:
        with engine_errors():
            found = self._find()
            if found is not None and (plan.replaces or found["State"]["Status"] in UNUSABLE):
                self._discard(found, report)
                found = None
            if found is None:
                self._create(spec, report)
            else:
                self._adjust(found, spec, report)
            self._wait(report)
        server = self.server()
        if server is None:
            raise CloudError(f"The machine {self.name} stopped again.", self.console())
        return server

    def server(self) -> Server | None:
        with engine_errors():
            found = self._find()
            return self._server(found) if found is not None and _is_up(found) else None

    def removal(self, *, with_data: bool) -> Removal:
        return Removal((f"{self.name} with all its data (DAGs, databases, secrets)",))

    def destroy(self, report: Report, *, with_data: bool = True) -> list[str]:
        """The data always goes too: a volume without its machine would be found by nobody."""
        if self._client is None:
            engine.ensure_runs(report)
        removed = []
        ours = {"label": f"{OWNER}={self.environment}"}
        with engine_errors():
            containers = self.client.containers(all=True, filters=ours)
            networks = self.client.networks(filters=ours)
            volumes = (self.client.volumes(filters=ours) or {}).get("Volumes") or ()
            for found in (*containers, *networks, *volumes):
                self._require_ours(found)
            for container in containers:
                name = container["Names"][0].lstrip("/")
                report(f"remove the container {name}")
                self.client.remove_container(container["Id"], v=True, force=True)
                removed.append(f"container {name}")
            for network in networks:
                self.client.remove_network(network["Id"])
                removed.append(f"network {network['Name']}")
            for volume in volumes:
                report(f"remove the volume {volume['Name']}")
                self.client.remove_volume(volume["Name"])
                removed.append(f"volume {volume['Name']}")
        return removed

    @abstractmethod
    def console(self) -> str:
        """As `Cloud.console`."""

    @abstractmethod
    def _plan(self, spec: MachineSpec, found: dict[str, Any] | None) -> Plan:
        """`found` is the machine as the engine describes it, if there is a usable one."""

    @abstractmethod
    def _image(self, spec: MachineSpec, report: Report) -> str:
        """The image of the container, and disks where it has some, made if need be."""

    @abstractmethod
    def _create_container(self, spec: MachineSpec, image: str, port: int) -> None:
        """Makes the container; `port` on 127.0.0.1 leads to the machine's SSH."""

    @abstractmethod
    def _adjust(self, found: dict[str, Any], spec: MachineSpec, report: Report) -> None:
        """Brings a machine that fits to its size, and starts it."""

    @abstractmethod
    def _wait(self, report: Report) -> None:
        """Returns when it accepts SSH."""

    @abstractmethod
    def _server(self, found: dict[str, Any]) -> Server:
        """The record of the running machine."""

    @abstractmethod
    def _discard(self, found: dict[str, Any], report: Report) -> None:
        """Removes the machine and keeps /srv."""

    def _gateway(self, found: dict[str, Any]) -> str:
        """The network that log-ins come from: the bridge's gateway, whose address QEMU's user network keeps too."""
        return f"{found['NetworkSettings']['Networks'][self.name]['Gateway']}/32"

    def _usable(self) -> dict[str, Any] | None:
        """One that was never started does not count: its making was interrupted, and `ensure` begins again."""
        found = self._find()
        return None if found is None or found["State"]["Status"] in UNUSABLE else found

    def _find(self) -> dict[str, Any] | None:
        """The container of our name, whatever its state."""
        try:
            found: dict[str, Any] = self.client.inspect_container(self.name)
        except NotFound:
            return None
        if (found["Config"].get("Labels") or {}).get(OWNER) != self.environment:
            raise CloudError(
                f"There is a container named {self.name} that Hangar did not make.",
                resolution=f"Rename or remove it: docker rm -f {self.name}",
            )
        self._require_ours(found)
        return found

    def _require_ours(self, found: dict[str, Any]) -> None:
        """Two checkouts with an environment of the same name must not take each other's machine."""
        if folder := other_checkout(found):
            raise CloudError(
                f"The machine {self.name} belongs to another checkout of Hangar.",
                f"* That checkout: {folder}",
                f"Remove it there (./provision.py destroy {self.environment}), or use an environment of another name"
                " here: ./provision.py init NAME",
            )

    def _create(self, spec: MachineSpec, report: Report) -> None:
        image = self._image(spec, report)
        report("create the machine")
        self._ensure_network()
        self._ensure_volume(volume_name(self.name))
        for port in free_ports(spec, PORT_ATTEMPTS):
            self._create_container(spec, image, port)
            try:
                self.client.start(self.name)
            except APIError as error:
                self.client.remove_container(self.name, v=True, force=True)
                if spec.ssh_port is None and _port_taken(error):
                    continue
                raise
            return
        raise CloudError("No free port for the machine's SSH was found on 127.0.0.1.")

    def _ensure_network(self) -> None:
        """A bridge of the machine's own."""
        found = self.client.networks(names=[f"^{self.name}$"])
        for network in found:
            self._require_ours(network)
        if not found:
            labels = ownership(self.environment)
            self.client.create_network(self.name, driver="bridge", check_duplicate=True, labels=labels)

    def _ensure_volume(self, name: str) -> None:
        """An existing volume is kept as it is."""
        try:
            found = self.client.inspect_volume(name)
        except NotFound:
            self.client.create_volume(name, labels=ownership(self.environment))
        else:
            self._require_ours(found)


def _port_taken(error: APIError) -> bool:
    text = str(error.explanation or error)
    return "already allocated" in text or "address already in use" in text


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """What the engine refuses becomes one of our errors."""
    try:
        yield
    except (DockerException, RequestException) as error:
        said = getattr(error, "explanation", None) or str(error)
        raise CloudError("The Docker engine refused.", f"* It said: {said}") from error


def _is_up(found: dict[str, Any]) -> bool:
    """Whether its SSH is published. The engine calls a container that it starts again running, too."""
    state = found["State"]
    return (
        state["Running"] and not state.get("Restarting") and any(found["NetworkSettings"]["Ports"].values())
    )
