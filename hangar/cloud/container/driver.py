"""ContainerCloud: the Cloud protocol on this computer's Docker engine."""

import contextlib
from collections.abc import Iterator
from typing import Any

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from requests import RequestException

from hangar import engine
from hangar.cloud import base_image, startup
from hangar.cloud.base import MachineSpec, Plan, Removal, Report, Server
from hangar.cloud.container import request
from hangar.cloud.container.comparison import Observed, make_plan
from hangar.cloud.container.ports import free_ports
from hangar.cloud.container.ready import host_keys, read_console, wait_until_ready
from hangar.cloud.recipe import Recipe, pack
from hangar.errors import CloudError
from hangar.ports import LOOPBACK

PORT_ATTEMPTS = 10
UNUSABLE = ("created", "dead")
"""Its making or its removal was interrupted."""


class ContainerCloud:
    """The machine of one environment, as a systemd container."""

    def __init__(
        self, environment: str, client: APIClient | None = None, recipe: Recipe | None = None
    ) -> None:
        self.environment = environment
        self.name = f"hangar-{environment}"
        self.recipe = recipe or Recipe()
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
        return make_plan(spec, self.observe())

    def observe(self) -> Observed:
        with _engine_errors():
            return self._observe()

    def _observe(self) -> Observed:
        found = self._find()
        if found is None or found["State"]["Status"] in UNUSABLE:
            # Never started: the making was interrupted, and `ensure` begins again.
            return Observed(exists=False, running=False, recipe_now=self.recipe.hash)
        info = self.client.info()
        return Observed(
            exists=True,
            running=bool(found["State"]["Running"]),
            spec=request.spec_of(found, info["NCPU"], info["MemTotal"]),
            recipe=found["Config"]["Labels"].get(request.RECIPE),
            recipe_now=self.recipe.hash,
        )

    def ensure(self, plan: Plan, spec: MachineSpec, report: Report) -> Server:
        with _engine_errors():
            found = self._find()
            if found is not None and (plan.replaces or found["State"]["Status"] in UNUSABLE):
                self._discard(found, report)
                found = None
            if found is None:
                self._create(spec, report)
            else:
                self._adjust(found, spec, report)
            wait_until_ready(self.client, self.name, report)
            base_image.remove_old(self.client, self.recipe)
        server = self.server()
        if server is None:
            raise CloudError(f"The machine {self.name} stopped again.", self.console())
        return server

    def server(self) -> Server | None:
        with _engine_errors():
            found = self._find()
            if found is None or not found["State"]["Running"]:
                return None
            network = found["NetworkSettings"]["Networks"][self.name]
            bound = found["NetworkSettings"]["Ports"][request.SSH][0]
            made_with = request.spec_of(found, 0, 0)
            return Server(
                name=self.name,
                environment=self.environment,
                cloud="container",
                id=found["Id"],
                address=LOOPBACK,
                port=int(bound["HostPort"]),
                admin=made_with.admin if made_with else "",
                host_keys=host_keys(self.client, self.name),
                ssh_sources=(f"{network['Gateway']}/32",),
                limits=("vm",),
            )

    def removal(self, *, with_data: bool) -> Removal:
        return Removal((f"{self.name} with all its data (DAGs, databases, secrets)",))

    def destroy(self, report: Report, *, with_data: bool = True) -> list[str]:
        """The data always goes too: a volume without its machine would be found by nobody."""
        if self._client is None:
            engine.ensure_runs(report)
        removed = []
        ours = {"label": f"{request.OWNER}={self.environment}"}
        with _engine_errors():
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

    def console(self) -> str:
        with _engine_errors():
            return read_console(self.client, self.name)

    def _find(self) -> dict[str, Any] | None:
        """The container of our name, whatever its state."""
        try:
            found: dict[str, Any] = self.client.inspect_container(self.name)
        except NotFound:
            return None
        if (found["Config"].get("Labels") or {}).get(request.OWNER) != self.environment:
            raise CloudError(
                f"There is a container named {self.name} that Hangar did not make.",
                resolution=f"Rename or remove it: docker rm -f {self.name}",
            )
        self._require_ours(found)
        return found

    def _require_ours(self, found: dict[str, Any]) -> None:
        """Two checkouts with an environment of the same name must not take each other's machine."""
        if folder := request.other_checkout(found):
            raise CloudError(
                f"The machine {self.name} belongs to another checkout of Hangar.",
                f"* That checkout: {folder}",
                f"Remove it there (./provision.py destroy {self.environment}), or use an environment of another name"
                " here: ./provision.py init NAME",
            )

    def _discard(self, found: dict[str, Any], report: Report) -> None:
        """Removes the container and keeps /srv. Services end in order first: databases live there."""
        if found["State"]["Running"]:
            report("stop the old machine")
            self.client.stop(self.name, timeout=request.STOP_TIMEOUT)
        self.client.remove_container(self.name, v=True, force=True)

    def _create(self, spec: MachineSpec, report: Report) -> None:
        image = base_image.ensure(self.client, self.recipe, report)
        report("create the container")
        self._ensure_network()
        self._ensure_volume()
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

    def _create_container(self, spec: MachineSpec, image: str, port: int) -> None:
        info = self.client.info()
        limits = request.limits(spec, info["NCPU"], info["MemTotal"])
        settings = request.host_config(spec, port, limits, request.security_options(info))
        self.client.create_container(
            **request.container(spec, image, self.recipe.hash),
            host_config=self.client.create_host_config(**settings),
        )
        script = startup.render(spec).encode()
        self.client.put_archive(self.name, "/", pack({request.STARTUP.lstrip("/"): (0o755, script)}))

    def _adjust(self, found: dict[str, Any], spec: MachineSpec, report: Report) -> None:
        """Brings a machine that fits to its size, and starts it."""
        info = self.client.info()
        now = request.spec_of(found, info["NCPU"], info["MemTotal"])
        if now and (now.cpus, now.memory_bytes) != (spec.cpus, spec.memory_bytes):
            report("change the machine's size")
            wanted = request.limits(spec, info["NCPU"], info["MemTotal"])
            self.client.update_container(
                self.name,
                cpu_period=wanted["cpu_period"],
                cpu_quota=wanted["cpu_quota"],
                mem_limit=wanted["mem_limit"],
                memswap_limit=wanted["memswap_limit"],
            )
        if found["State"]["Paused"]:
            self.client.unpause(self.name)
        elif not found["State"]["Running"]:
            report("start the machine")
            self._ensure_network()
            self.client.start(self.name)

    def _ensure_network(self) -> None:
        """A bridge of the machine's own; its gateway is where log-ins come from."""
        found = self.client.networks(names=[f"^{self.name}$"])
        for network in found:
            self._require_ours(network)
        if not found:
            labels = request.ownership(self.environment)
            self.client.create_network(self.name, driver="bridge", check_duplicate=True, labels=labels)

    def _ensure_volume(self) -> None:
        """What outlives the machine. An existing volume is kept as it is."""
        name = request.volume_name(self.name)
        try:
            found = self.client.inspect_volume(name)
        except NotFound:
            self.client.create_volume(name, labels=request.ownership(self.environment))
        else:
            self._require_ours(found)


def _port_taken(error: APIError) -> bool:
    text = str(error.explanation or error)
    return "already allocated" in text or "address already in use" in text


@contextlib.contextmanager
def _engine_errors() -> Iterator[None]:
    """What the engine refuses becomes one of our errors."""
    try:
        yield
    except (DockerException, RequestException) as error:
        said = getattr(error, "explanation", None) or str(error)
        raise CloudError("The Docker engine refused.", f"* It said: {said}") from error
