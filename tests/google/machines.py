"""Real machines behind instances: a systemd container each, of the image that Hangar's own driver makes.

A boot disk is the container's file system, any other disk a volume; the first of those is mounted at /srv before
the machine boots, since a container has no block devices under /dev/disk/by-id. The network lies inside the range
from which Google's tunnel comes, so that the machine sees its log-ins from there.
"""

import contextlib
import hashlib
import ipaddress
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

from hangar import engine
from hangar.cloud import base_image
from hangar.cloud.base import MachineSpec
from hangar.cloud.container import ready, request
from hangar.cloud.local import looking
from hangar.cloud.recipe import Recipe, pack
from tests.google.compute.catalog import MACHINE_TYPES

LABEL = "hangar.google-stand-in"
"""On everything that is made here; its value is the stand-in's own name. Hangar's own driver never sees it."""

PATH = "hangar.google-stand-in.path"
RELAY_RANGE = ipaddress.ip_network("35.235.240.0/20")
GUEST = Path(__file__).parent / "guest"
FOLDER = "usr/lib/google-stand-in"
CONSOLE_LINES = 2000


class DockerMachines:
    """Blocking: the server calls it from threads of its own."""

    def __init__(self, name: str, client: APIClient | None = None) -> None:
        self.name = name
        self.client = client or engine.connect()
        self._recipe = Recipe()
        self._image = ""

    def prepare(self, say: Any) -> None:
        """Makes the image if need be (half a minute or two)."""
        self._image = base_image.ensure(self.client, self._recipe, say)

    def start(self, path: str, instance: dict[str, Any], data: list[str]) -> None:
        container = self._container(path)
        limits = self._limits(instance)
        if self._exists(container):
            self.client.update_container(container, **limits)
        else:
            self._create(container, path, instance, data, limits)
        # Metadata may have changed since the last boot.
        self.client.put_archive(container, "/", _guest_files(instance))
        self.client.start(container)

    def host_keys(self, path: str) -> dict[str, str]:
        """The machine's public keys by type, read through the engine when it has booted and answers."""
        container = self._container(path)
        self._wait_for_ssh(container)
        return dict(line.split(maxsplit=1) for line in ready.host_keys(self.client, container))

    def stop(self, path: str) -> None:
        with contextlib.suppress(NotFound):
            self.client.stop(self._container(path), timeout=request.STOP_TIMEOUT)

    def restart(self, path: str) -> None:
        """A reset: no service is asked to end."""
        self.client.restart(self._container(path), timeout=0)

    def remove(self, path: str) -> None:
        with contextlib.suppress(NotFound):
            self.client.remove_container(self._container(path), v=True, force=True)

    def remove_disk(self, path: str) -> None:
        with contextlib.suppress(NotFound):
            self.client.remove_volume(self._volume(path))

    def copy_disk(self, source: str, target: str) -> None:
        """Copies a disk's content to a snapshot, or a snapshot's to a disk. A disk that was never used has none."""
        if not self._has_volume(source):
            return
        self._ensure_volume(target)
        binds = {self._volume(source): {"bind": "/from", "mode": "ro"}, self._volume(target): {"bind": "/to"}}
        copier = self.client.create_container(
            self._image,
            ["cp", "-a", "/from/.", "/to/"],
            labels={LABEL: self.name},
            host_config=self.client.create_host_config(binds=binds, network_mode="none"),
        )["Id"]
        try:
            with self._standing_still(source):
                self.client.start(copier)
                status = self.client.wait(copier)["StatusCode"]
            if status != 0:
                raise RuntimeError(self.client.logs(copier).decode(errors="replace"))
        finally:
            self.client.remove_container(copier, force=True)

    @contextlib.contextmanager
    def _standing_still(self, path: str) -> Iterator[None]:
        """A snapshot holds one moment of a disk: whoever writes to it is paused meanwhile."""
        running = {"volume": self._volume(path), "status": "running"}
        paused = [container["Id"] for container in self.client.containers(filters=running)]
        for container in paused:
            self.client.pause(container)
        try:
            yield
        finally:
            for container in paused:
                self.client.unpause(container)

    def console(self, path: str) -> str:
        try:
            text = self.client.logs(self._container(path), tail=CONSOLE_LINES).decode(errors="replace")
        except NotFound:
            return ""
        return looking.COLOURS.sub("", text)

    def address(self, path: str) -> tuple[str, int] | None:
        """Where the machine's SSH is, from here; None while it is off."""
        try:
            found = self.client.inspect_container(self._container(path))
        except NotFound:
            return None
        address = found["NetworkSettings"]["Networks"].get(self.name, {}).get("IPAddress")
        return (address, 22) if found["State"]["Running"] and address else None

    def cleanup(self) -> list[str]:
        """Removes all that carries our name."""
        return cleanup(self.client, f"{LABEL}={self.name}")

    def _limits(self, instance: dict[str, Any]) -> dict[str, int]:
        info = self.client.info()
        return request.limits(_spec(instance), info["NCPU"], info["MemTotal"])

    def _create(
        self, container: str, path: str, instance: dict[str, Any], data: list[str], limits: dict[str, int]
    ) -> None:
        self._ensure_network()
        spec = _spec(instance)
        settings = request.host_config(spec, 0, limits, request.security_options(self.client.info()))
        settings |= {"network_mode": self.name, "binds": self._binds(data), "port_bindings": None}
        described = request.container(spec, self._image, self._recipe.hash)
        described |= {"name": container, "labels": {LABEL: self.name, PATH: path}}
        self.client.create_container(**described, host_config=self.client.create_host_config(**settings))

    def _binds(self, data: list[str]) -> dict[str, Any]:
        for path in data:
            self._ensure_volume(path)
        return {self._volume(data[0]): {"bind": "/srv", "mode": "rw"}} if data else {}

    def _wait_for_ssh(self, container: str) -> None:
        """Not until systemd is done: that waits for the start-up script, and Google's guest agent does not."""
        deadline = time.monotonic() + ready.BOOT_TIMEOUT
        while True:
            found = self.client.inspect_container(container)
            address = found["NetworkSettings"]["Networks"][self.name]["IPAddress"]
            if address and looking.says_ssh(address, 22):
                return
            if time.monotonic() > deadline or not found["State"]["Running"]:
                raise RuntimeError(f"Nothing speaks SSH in {container}.")
            time.sleep(looking.PAUSE)

    def _ensure_network(self) -> None:
        """A network of our own inside the tunnel's range; other stand-ins may have taken parts of it."""
        if self.client.networks(names=[f"^{self.name}$"]):
            return
        for part in RELAY_RANGE.subnets(new_prefix=28):
            pool = {"Subnet": str(part), "Gateway": str(part.network_address + 1)}
            try:
                self.client.create_network(
                    self.name, driver="bridge", check_duplicate=True, labels={LABEL: self.name},
                    ipam={"Driver": "default", "Config": [pool]},
                )  # fmt: skip
            except APIError as error:
                if "overlap" not in str(error):
                    raise
            else:
                return
        raise RuntimeError(f"No part of {RELAY_RANGE} is free.")

    def _exists(self, container: str) -> bool:
        try:
            self.client.inspect_container(container)
        except NotFound:
            return False
        return True

    def _has_volume(self, path: str) -> bool:
        try:
            self.client.inspect_volume(self._volume(path))
        except NotFound:
            return False
        return True

    def _ensure_volume(self, path: str) -> None:
        if not self._has_volume(path):
            self.client.create_volume(self._volume(path), labels={LABEL: self.name, PATH: path})

    def _container(self, path: str) -> str:
        return f"{self.name}-{path.split('/')[-1].split('#')[0]}-{_short(path)}"

    _volume = _container


def cleanup(client: APIClient, label: str = LABEL) -> list[str]:
    """Removes every container, volume and network with the label, whichever stand-in made it."""
    ours = {"label": label}
    removed = []
    for container in client.containers(all=True, filters=ours):
        client.remove_container(container["Id"], v=True, force=True)
        removed.append(container["Names"][0].lstrip("/"))
    for volume in (client.volumes(filters=ours) or {}).get("Volumes") or ():
        client.remove_volume(volume["Name"])
        removed.append(volume["Name"])
    for network in client.networks(filters=ours):
        client.remove_network(network["Id"])
        removed.append(network["Name"])
    return removed


def _spec(instance: dict[str, Any]) -> MachineSpec:
    """As much of a spec as the driver's request wants to know."""
    cpus, memory = MACHINE_TYPES[instance["machineType"].split("/")[-1]]
    return MachineSpec("", instance["name"], cpus, memory * 1024**2, None, "", "")


def _guest_files(instance: dict[str, Any]) -> bytes:
    """The guest agent, and what the metadata gives it."""
    metadata = {item["key"]: item.get("value", "") for item in instance["metadata"].get("items", ())}
    keys = "".join(f"{line}\n" for line in metadata.get("ssh-keys", "").splitlines() if line.strip())
    files = dict(_scripts())
    files[f"{FOLDER}/ssh-keys"] = (0o644, keys.encode())
    files[f"{FOLDER}/startup-script"] = (0o755, metadata.get("startup-script", "").encode())
    return pack(files)


def _scripts() -> Iterator[tuple[str, tuple[int, bytes]]]:
    yield request.STARTUP.lstrip("/"), (0o755, (GUEST / "agent.sh").read_bytes())
    yield f"{FOLDER}/run-startup-script", (0o755, (GUEST / "run-startup-script.sh").read_bytes())
    unit = "google-startup-scripts.service"
    yield f"etc/systemd/system/{unit}", (0o644, (GUEST / unit).read_bytes())


def _short(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:6]
