"""A Docker engine that keeps its containers in memory: those calls of docker.APIClient that Hangar makes."""

from __future__ import annotations

import io
import itertools
import tarfile
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound

HOST_KEYS = "ssh-ed25519 AAAAC3Nz root@x\nssh-rsa AAAAB3Nz root@x\n"
NCPU, MEMORY = 4, 16 * 2**30


class FakeEngine:
    """`calls` lists (method, first argument). `fail[method]` is a list of errors to raise, one a call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fail: dict[str, list[Exception | None]] = {}
        self.containers_: dict[str, dict[str, Any]] = {}
        self.networks_: dict[str, dict[str, Any]] = {}
        self.volumes_: dict[str, dict[str, Any]] = {}
        self.images_: dict[str, dict[str, str]] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.boot_states = ["", "starting", "running"]
        self.timeout = 600
        self.numbers = itertools.count(1)
        self.answers: dict[str, tuple[int, str]] = {}
        self.statuses: dict[str, int] = {}
        self.options: list[str] = ["name=seccomp,profile=default"]

    # What tests look at

    def did(self, method: str) -> list[str]:
        return [name for called, name in self.calls if called == method]

    def _note(self, method: str, name: str = "") -> None:
        self.calls.append((method, name))
        errors = self.fail.get(method)
        if errors and (error := errors.pop(0)):
            raise error

    # The engine

    def info(self) -> dict[str, Any]:
        return {"NCPU": NCPU, "MemTotal": MEMORY, "SecurityOptions": self.options}

    def images(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        return [{"RepoTags": [tag]} for tag, labels in self.images_.items() if filters["label"] in labels]

    def inspect_image(self, image: str) -> dict[str, Any]:
        if image not in self.images_:
            raise ImageNotFound(image)
        return {}

    def inspect_distribution(self, image: str) -> dict[str, Any]:
        self._note("inspect_distribution", image)
        return {}

    def pull(self, repository: str, tag: str) -> None:
        self._note("pull", f"{repository}:{tag}")
        self.images_[f"{repository}:{tag}"] = {}

    def import_image(self, src: str, repository: str, tag: str, changes: list[str]) -> None:
        self._note("import_image", f"{repository}:{tag}")
        self.images_[f"{repository}:{tag}"] = {"hangar.recipe": tag}

    def commit(self, container: str, repository: str, tag: str, changes: list[str]) -> None:
        self._note("commit", f"{repository}:{tag}")
        self.images_[f"{repository}:{tag}"] = {"hangar.recipe": tag}

    def remove_image(self, image: str) -> None:
        self._note("remove_image", image)
        del self.images_[image]

    # Containers

    def create_host_config(self, **settings: Any) -> dict[str, Any]:
        return settings

    def create_container(self, image: str, command: list[str], *, name: str = "", host_config: dict[str, Any],
                         labels: dict[str, str], **rest: Any) -> dict[str, Any]:  # fmt: skip
        self._note("create_container", name)
        name = name or "unnamed"
        bindings = {
            port: [{"HostIp": ip, "HostPort": str(number)}]
            for port, (ip, number) in host_config.get("port_bindings", {}).items()
        }
        self.containers_[name] = {
            "Id": f"id-{name}-{next(self.numbers)}",
            "Names": [f"/{name}"],
            "Image": image,
            "Config": {"Labels": labels, "command": command, **rest},
            "HostConfig": {
                "CpuQuota": host_config.get("cpu_quota"), "Memory": host_config.get("mem_limit"),
                "PortBindings": bindings, "asked": host_config,
            },
            "State": {"Status": "created", "Running": False, "Paused": False, "ExitCode": 0},
            "NetworkSettings": {"Networks": {name: {"Gateway": "172.30.0.1"}}, "Ports": bindings},
        }  # fmt: skip
        return self.containers_[name]

    def inspect_container(self, name: str) -> dict[str, Any]:
        for known, found in self.containers_.items():
            if name in (known, found["Id"]):
                return found
        raise NotFound(name)

    def put_archive(self, name: str, path: str, data: bytes) -> bool:
        self._note("put_archive", name)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            self.files[name] = {
                entry.name: file.read() for entry in archive if (file := archive.extractfile(entry))
            }
        return True

    def start(self, name: str) -> None:
        self._note("start", name)
        self.inspect_container(name)["State"].update(Status="running", Running=True)

    def stop(self, name: str, timeout: int) -> None:
        self._note("stop", name)
        self.inspect_container(name)["State"].update(Status="exited", Running=False)

    def wait(self, name: str) -> dict[str, int]:
        self.inspect_container(name)["State"].update(Status="exited", Running=False)
        return {"StatusCode": self.statuses.get(name, 0)}

    def unpause(self, name: str) -> None:
        self._note("unpause", name)
        self.inspect_container(name)["State"].update(Paused=False)

    def remove_container(self, name: str, v: bool, force: bool) -> None:
        self._note("remove_container", name)
        found = next((n for n, c in self.containers_.items() if name in (n, c["Id"])), None)
        if found is None:
            raise NotFound(name)
        del self.containers_[found]

    def update_container(self, name: str, **limits: int) -> None:
        self._note("update_container", name)
        self.inspect_container(name)["HostConfig"].update(
            CpuQuota=limits["cpu_quota"], Memory=limits["mem_limit"]
        )

    def logs(self, name: str, tail: int) -> bytes:
        self.inspect_container(name)
        return b"\x1b[0;32mboot\x1b[0m message\r\n"

    def exec_create(self, name: str, argv: list[str], environment: Any = None) -> dict[str, str]:
        if not self.inspect_container(name)["State"]["Running"]:
            raise APIError("409 Conflict: container is not running")
        return {"Id": " ".join(argv)}

    def exec_start(self, call: str) -> bytes:
        if "is-system-running" in call:
            state = self.boot_states.pop(0) if len(self.boot_states) > 1 else self.boot_states[0]
            return state.encode()
        if "ssh_host" in call:
            return HOST_KEYS.encode()
        return self.answers.get(call, (0, ""))[1].encode()

    def exec_inspect(self, call: str) -> dict[str, int]:
        return {"ExitCode": self.answers.get(call, (0, ""))[0]}

    def containers(self, all: bool, filters: dict[str, str]) -> list[dict[str, Any]]:
        return [c for c in self.containers_.values() if _labelled(c["Config"]["Labels"], filters)]

    # Networks and volumes

    def networks(
        self, names: list[str] | None = None, filters: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        wanted = [name.strip("^$") for name in names or ()]
        return [
            network for network in self.networks_.values()
            if (not wanted or network["Name"] in wanted) and _labelled(network["Labels"], filters)
        ]  # fmt: skip

    def create_network(self, name: str, driver: str, check_duplicate: bool, labels: dict[str, str]) -> None:
        self._note("create_network", name)
        self.networks_[name] = {"Id": f"net-{name}", "Name": name, "Labels": labels}

    def remove_network(self, network: str) -> None:
        self._note("remove_network", network)
        self.networks_ = {name: found for name, found in self.networks_.items() if found["Id"] != network}

    def volumes(self, filters: dict[str, str]) -> dict[str, Any]:
        return {"Volumes": [v for v in self.volumes_.values() if _labelled(v["Labels"], filters)]}

    def inspect_volume(self, name: str) -> dict[str, Any]:
        if name not in self.volumes_:
            raise NotFound(name)
        return self.volumes_[name]

    def create_volume(self, name: str, labels: dict[str, str]) -> None:
        self._note("create_volume", name)
        self.volumes_.setdefault(name, {"Name": name, "Labels": labels})

    def remove_volume(self, name: str) -> None:
        self._note("remove_volume", name)
        del self.volumes_[name]


def _labelled(labels: dict[str, str], filters: dict[str, str] | None) -> bool:
    name, _, value = (filters or {"label": ""})["label"].partition("=")
    return not name or labels.get(name) == value
