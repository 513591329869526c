"""ContainerCloud: the machine is a systemd container."""

from typing import Any

from docker import APIClient

from hangar.cloud import base_image, startup
from hangar.cloud.base import MachineSpec, Plan, Report, Server
from hangar.cloud.container import request
from hangar.cloud.container.ready import host_keys, read_console, wait_until_ready
from hangar.cloud.local.comparison import Observed, make_plan
from hangar.cloud.local.driver import LocalCloud, engine_errors
from hangar.cloud.local.ownership import RECIPE
from hangar.cloud.recipe import Recipe, pack
from hangar.ports import LOOPBACK


class ContainerCloud(LocalCloud):
    """The machine of one environment, as a systemd container."""

    def __init__(
        self, environment: str, client: APIClient | None = None, recipe: Recipe | None = None
    ) -> None:
        super().__init__(environment, client)
        self.recipe = recipe or Recipe()

    def console(self) -> str:
        with engine_errors():
            return read_console(self.client, self.name)

    def _plan(self, spec: MachineSpec, found: dict[str, Any] | None) -> Plan:
        return make_plan(spec, self._observed(found))

    def _observed(self, found: dict[str, Any] | None) -> Observed:
        if found is None:
            return Observed(exists=False, running=False, recipe_now=self.recipe.hash)
        info = self.client.info()
        return Observed(
            exists=True,
            running=bool(found["State"]["Running"]),
            spec=request.spec_of(found, info["NCPU"], info["MemTotal"]),
            recipe=found["Config"]["Labels"].get(RECIPE),
            recipe_now=self.recipe.hash,
        )

    def _image(self, spec: MachineSpec, report: Report) -> str:
        return base_image.ensure(self.client, self.recipe, report)

    def _wait(self, report: Report) -> None:
        wait_until_ready(self.client, self.name, report)
        base_image.remove_old(self.client, f"{base_image.REPOSITORY}:{self.recipe.hash}")

    def _server(self, found: dict[str, Any]) -> Server:
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
            ssh_sources=(self._gateway(found),),
            limits=("vm",),
        )

    def _discard(self, found: dict[str, Any], report: Report) -> None:
        """Services end in order first: databases live under /srv."""
        if found["State"]["Running"]:
            report("stop the old machine")
            self.client.stop(self.name, timeout=request.STOP_TIMEOUT)
        self.client.remove_container(self.name, v=True, force=True)

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
