"""VmCloud: the machine is a virtual one, run by QEMU in a container that may do nothing else."""

import contextlib
import json
import time
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

from hangar import engine
from hangar.cloud import startup
from hangar.cloud.base import MachineSpec, Plan, Report, Server
from hangar.cloud.local import looking
from hangar.cloud.local.driver import LocalCloud, engine_errors
from hangar.cloud.local.ownership import RECIPE, SPEC
from hangar.cloud.recipe import pack
from hangar.cloud.vm import request
from hangar.cloud.vm.comparison import Observed, make_plan
from hangar.cloud.vm.images import FOLDER, Images
from hangar.cloud.vm.request import KVM
from hangar.config.vm import Vm
from hangar.errors import CloudError, MachineUnreachable
from hangar.ports import LOOPBACK

BOOT_TIMEOUT = 900.0
"""Seconds until the machine tells its host keys: 30 where its processor is emulated on an idle computer."""

READY = "ready"
HOW = {"kvm": "KVM", "emulation": "its processor is emulated: several times slower"}


class VmCloud(LocalCloud):
    """The machine of one environment, as a virtual machine."""

    def __init__(
        self, environment: str, sizes: Vm, client: APIClient | None = None, images: Images | None = None
    ) -> None:
        super().__init__(environment, client)
        self.sizes, self.images = sizes, images or Images()

    def prepare(self, report: Report) -> None:
        from hangar import checks

        checks.prepare(report, checks.FOR_A_VM)

    def console(self) -> str:
        with engine_errors():
            try:
                return looking.plain(self.client.logs(self.name, tail=60)).strip()
            except NotFound:
                return ""

    def _plan(self, spec: MachineSpec, found: dict[str, Any] | None) -> Plan:
        return make_plan(spec, self.sizes, self.images.recipe, _observed(found) if found else None)

    def _image(self, spec: MachineSpec, report: Report) -> str:
        self._fill_disk(spec, report)
        return self.images.ensure_emulator(self.client, report)

    def _fill_disk(self, spec: MachineSpec, report: Report) -> None:
        """The system disk, filled with Debian and given to the emulator's account together with the data's volume."""
        root = self.images.ensure_root(self.client, report)
        report("make the system disk")
        for volume in request.volumes(self.name):
            self._ensure_volume(volume)
        builder = request.builder_name(self.name)
        self._remove(builder)
        self.client.create_container(
            **request.builder(spec, root, self.images.recipe, self.sizes),
            host_config=self.client.create_host_config(
                network_mode="none", binds=request.volumes(self.name), security_opt=["no-new-privileges"]
            ),
        )
        try:
            self.client.start(builder)
            status = self.client.wait(builder)["StatusCode"]
            if status != 0:
                said = self.client.logs(builder, tail=20).decode(errors="replace")
                raise CloudError("The system disk could not be made.", f"* Status {status}:\n{said}")
        finally:
            self._remove(builder)

    def _create_container(self, spec: MachineSpec, image: str, port: int) -> None:
        info = self.client.info()
        wanted = request.container(
            spec, image, self.images.recipe, self.sizes, info["NCPU"], info["MemTotal"]
        )
        settings = request.host_config(spec, port, _kvm_group())
        self.client.create_container(**wanted, host_config=self.client.create_host_config(**settings))
        self._hand_over(spec)

    def _hand_over(self, spec: MachineSpec) -> None:
        """The program that boots the machine, and the script that the machine runs at every boot."""
        script = startup.render(spec, request.DATA_DEVICE).encode()
        program = (FOLDER / request.LAUNCHER).read_bytes()
        files = {request.LAUNCHER: (0o755, program), request.STARTUP: (0o644, script)}
        self.client.put_archive(self.name, request.MACHINE, pack(files))

    def _adjust(self, found: dict[str, Any], spec: MachineSpec, report: Report) -> None:
        """Another size is another call of QEMU, and so another container on the same disks."""
        if self._plan(spec, found).changes[0].action == "restart":
            self._stop(found, report)
            self._remove(self.name)
            self._create(spec, report)
        elif found["State"]["Paused"]:
            self.client.unpause(self.name)
        elif not found["State"]["Running"]:
            report("start the machine")
            self._ensure_network()
            self._hand_over(spec)
            self.client.start(self.name)

    def _discard(self, found: dict[str, Any], report: Report) -> None:
        self._stop(found, report)
        self._remove(self.name)
        with contextlib.suppress(NotFound):
            self.client.remove_volume(request.disk_volume(self.name))

    def _stop(self, found: dict[str, Any], report: Report) -> None:
        """Services end in order first: databases live under /srv."""
        if found["State"]["Running"]:
            report("shut the machine down")
            self.client.stop(self.name, timeout=request.STOP_TIMEOUT)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(NotFound):
            self.client.remove_container(name, v=True, force=True)

    def _wait(self, report: Report) -> None:
        """It has booted when it tells its host keys; and then SSH answers."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        told = ""
        while READY not in self._told().splitlines():
            looking.require_alive(self.client, self.name, self.console)
            if time.monotonic() > deadline:
                raise CloudError(
                    f"The machine {self.name} did not boot within {BOOT_TIMEOUT / 60:.0f} minutes.",
                    self.console(),
                )
            if told != (told := self._accelerator()) and told:
                report(f"wait for the machine to boot ({HOW.get(told, told)})")
            time.sleep(looking.PAUSE)
        server = self.server()
        if server is None or not looking.answers_in_time(server.address, server.port):
            raise MachineUnreachable(
                f"Nothing speaks SSH on the machine {self.name}, though it has booted.", self.console()
            )
        self.images.remove_old(self.client)

    def _told(self) -> str:
        """What the machine wrote about itself, or nothing yet."""
        return self._read(f"{request.RUN}/announced")

    def _accelerator(self) -> str:
        return self._read(f"{request.RUN}/accelerator")

    def _read(self, path: str) -> str:
        """The beginning of a file in the emulator's container; empty while it is not there."""
        try:
            argv = ["head", f"--bytes={request.TOLD}", path]
            status, text = looking.execute(self.client, self.name, argv)
        except APIError:
            # 409: between the container's start and its first process, nothing can be run in it.
            return ""
        return text if status == 0 else ""

    def _server(self, found: dict[str, Any]) -> Server:
        bound = found["NetworkSettings"]["Ports"][request.GUEST_SSH][0]
        keys = tuple(
            line.removeprefix("key ") for line in self._told().splitlines() if line.startswith("key ")
        )
        if not keys:
            raise CloudError(
                f"The machine {self.name} has not told its SSH host keys.",
                self.console(),
                "It may be booting still: run the same command again in a minute.",
            )
        return Server(
            name=self.name,
            environment=self.environment,
            cloud="vm",
            id=found["Id"],
            address=LOOPBACK,
            port=int(bound["HostPort"]),
            admin=_observed(found).spec.admin,
            host_keys=keys,
            ssh_sources=(self._gateway(found),),
            emulated=self._accelerator() == "emulation",
        )


def _observed(found: dict[str, Any]) -> Observed:
    labels = found["Config"]["Labels"]
    return Observed(
        running=bool(found["State"]["Running"]),
        spec=MachineSpec(**json.loads(labels[SPEC])),
        sizes=Vm(**json.loads(labels[request.DISKS])),
        recipe=labels[RECIPE],
    )


def _kvm_group() -> int | None:
    """Who may use this computer's /dev/kvm, where the engine's containers can have it."""
    return KVM.stat().st_gid if engine.shares_our_kernel() and KVM.exists() else None
