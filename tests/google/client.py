"""What a test holds in its hand: the running stand-in, its rules, its journal."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from hangar.paths import REPO

PATIENCE = 20.0
"""Seconds that the stand-in gets to answer a control call."""

END = 300.0
"""Seconds that it gets to end: it removes its machines, and on a busy computer the engine takes its time for each."""

LOOK = 0.02


class Google:
    """A stand-in in a process of its own.

    `base_url` goes to `cloud.gcp.api_endpoint`; `key_file()` is what GOOGLE_APPLICATION_CREDENTIALS names.
    """

    def __init__(self, folder: Path, *arguments: str, project: str = "hangar-test") -> None:
        self.folder, self.project = folder, project
        self._arguments = ("--project", project, *arguments)
        self._process: subprocess.Popen[str] | None = None
        self.base_url = ""
        self.tolerates_violations = False
        """A test that sends what is wrong on purpose says so."""

    @property
    def tunnel_url(self) -> str:
        """Where the tunnel's far end listens (in place of wss://tunnel.cloudproxy.app)."""
        return self.base_url.replace("http://", "ws://")

    def start(self) -> "Google":
        """Serves; after a `kill` again at the same port, with the state of before."""
        port = self.base_url.rsplit(":", 1)[-1] or "0"
        log = (self.folder / "stand-in.log").open("a")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.google", "--port", port, "--state", str(self.folder), *self._arguments],
            stdout=subprocess.PIPE, stderr=log, text=True, cwd=REPO,
        )  # fmt: skip
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The stand-in did not start:\n{(self.folder / 'stand-in.log').read_text()}")
        self.base_url = json.loads(line)["base_url"]
        return self

    def stop(self) -> None:
        """Ends it, and what a killed one left in Docker."""
        killed = self._process is None
        self._end(kill=False)
        if killed and "docker" in self._arguments:
            command = [sys.executable, "-m", "tests.google", "--cleanup", "--state", str(self.folder)]
            subprocess.run(command, cwd=REPO, check=True, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self._end(kill=True)

    def key_file(self, account: str = "operator") -> Path:
        """A service account key whose tokens the stand-in issues; each account is a person of its own."""
        file = self.folder / f"{account}.json"
        file.write_text(json.dumps(self._get("key", account=account, project=self.project)))
        file.chmod(0o600)
        return file

    def reset(self) -> None:
        """An empty project again; keys and tokens stay good."""
        self.tolerates_violations = False
        self._post("reset", {})

    # What a test orders

    def fault(self, method: str, kind: str, *, nth: int = 1, **more: Any) -> int:
        """At the nth call (0: each) of a method, or of those that match a pattern; returns the rule's id.

        Kinds: 503-before, 503-after (the work is done), 500-before, 429, 403, reset-before, reset-after,
        delay-before and delay-after (`seconds`), operation-error (`code`, `message`; only methods that begin an
        operation have it). Of the others, `message` and `reason` (errors[].reason) may be given.

        Raises:
            ValueError: there is no such kind, or no such method that can go wrong in this way.
        """
        return int(self._post("faults", {"method": method, "kind": kind, "nth": nth, **more})["id"])

    def fired(self, fault: int) -> int:
        """How often a fault has struck."""
        return next(int(one["fired"]) for one in self._get("faults") if one["id"] == fault)

    def wait_until_fired(self, fault: int, seconds: float = PATIENCE) -> None:
        """Returns when a fault strikes: with delay-before or delay-after, while the call that it struck hangs.

        Raises:
            TimeoutError: it did not strike in time.
        """
        deadline = time.monotonic() + seconds
        while not self.fired(fault):
            if time.monotonic() > deadline:
                raise TimeoutError(f"The fault {fault} has not struck.")
            time.sleep(LOOK)

    def clear_faults(self) -> None:
        self._check(requests.delete(f"{self.base_url}/_control/faults", timeout=PATIENCE))

    def deny(self, *permissions: str, project: str = "") -> None:
        """From now on nobody has these (patterns such as compute.disks.* too), in the project of the test or another;
        others that were denied are back.
        """
        self._post("rules", {"denied": {project or self.project: list(permissions)}})

    def disable(self, *services: str) -> None:
        """Switches APIs off in the project, such as compute.googleapis.com."""
        self._post("rules", {"disabled": {self.project: list(services)}})

    def violate(self, constraint: str, method: str, message: str = "") -> None:
        """An organisation policy (constraints/compute.…) that forbids a method."""
        self._post(
            "rules", {"constraints": [{"constraint": constraint, "method": method, "message": message}]}
        )

    def quota(self, **limits: float) -> None:
        """Limits such as CPUS=2 or **{"europe-west3/SSD_TOTAL_GB": 10}."""
        self._post("rules", {"quotas": limits})

    def exhaust(self, *places: str) -> None:
        """Zones, or ZONE/MACHINE_TYPE, that have nothing left."""
        self._post("rules", {"stockouts": list(places)})

    def relay(self, **wanted: Any) -> None:
        """The tunnel's far end: backends={instance: "host:port"} in place of a machine's port 22;
        drop_after=N cuts the websocket after N bytes, drops=M times (1) in a session; with code=4004 it is
        closed with that code instead.
        """
        self._post("rules", {"relay": wanted})

    def unbill(self, *projects: str) -> None:
        """Projects whose billing is off."""
        self._post("rules", {"unbilled": list(projects)})

    def delay_accounts(self, seconds: float) -> None:
        """How long a new service account is unknown to Compute and to policies."""
        self._post("rules", {"account_seconds": seconds})

    def console(self, text: str) -> None:
        """What the serial console of an instance without a machine shows."""
        self._post("rules", {"console": text})

    def settings(self, **wanted: Any) -> None:
        """operation_seconds, projects (more that exist), project_metadata ({"enable-oslogin": "TRUE"})."""
        self._post("settings", wanted)

    def edit(self, path: str, **fields: Any) -> None:
        """Changes a resource by hand, past every check."""
        self._post("edit", {"path": path, "fields": fields})

    def edit_table(self, table: str, path: str, **fields: Any) -> None:
        """The same for a record of another API: all its fields."""
        self._post("edit", {"table": table, "path": path, "fields": fields})

    def remove(self, path: str) -> None:
        """Takes a resource away by hand."""
        self._post("edit", {"path": path, "remove": True})

    # What a test reads

    def journal(self, method: str = "", since: int = 0) -> list[dict[str, Any]]:
        """Every call: {number, method, values, body, principal, permissions, status}."""
        return [call for call in self._get("journal", since=since) if not method or call["method"] == method]

    def violations(self) -> list[dict[str, Any]]:
        """Requests that Google's documents do not allow. A test asserts that there are none."""
        found: list[dict[str, Any]] = self._get("violations")
        return found

    def resources(self, collection: str = "") -> dict[str, Any]:
        """Compute's resources by path, or those of one collection by name."""
        found: dict[str, Any] = self._get("resources")["compute"]
        if not collection:
            return found
        return {path.split("/")[-1]: one for path, one in found.items() if path.split("/")[-2] == collection}

    def table(self, name: str) -> dict[str, Any]:
        """What the other APIs keep: serviceAccounts, iamPolicies, buckets, objects, secrets, alertPolicies,
        notificationChannels, dashboards.
        """
        found: dict[str, Any] = self._get("resources")[name]
        return found

    def _get(self, name: str, **query: Any) -> Any:
        return self._check(requests.get(f"{self.base_url}/_control/{name}", params=query, timeout=PATIENCE))

    def _post(self, name: str, body: dict[str, Any]) -> Any:
        return self._check(requests.post(f"{self.base_url}/_control/{name}", json=body, timeout=PATIENCE))

    @staticmethod
    def _check(response: requests.Response) -> Any:
        if response.status_code != 200:
            raise ValueError(response.text)
        return response.json()

    def _end(self, *, kill: bool) -> None:
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        self._process.wait(END)
        if self._process.stdout:
            self._process.stdout.close()
        self._process = None
