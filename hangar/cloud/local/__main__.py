"""A machine for a test: `python -m hangar.cloud.local create|destroy NAME`.

It is the same machine that `up` makes; its state lives in .hangar/molecule-NAME/.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence

from hangar import console, paths
from hangar.cloud.base import MachineSpec, Report
from hangar.cloud.container import ContainerCloud
from hangar.cloud.local.driver import LocalCloud
from hangar.cloud.vm import VmCloud
from hangar.config.vm import Vm
from hangar.errors import HangarError
from hangar.ssh import client_config, known_hosts
from hangar.ssh.keys import ensure_key

ADMIN = "hangar"
CLOUDS: dict[str, Callable[[str], LocalCloud]] = {
    "container": ContainerCloud,
    "vm": lambda environment: VmCloud(environment, Vm()),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hangar.cloud.local", description=__doc__)
    parser.add_argument("verb", choices=("create", "destroy"))
    parser.add_argument("name", help="the machine becomes hangar-molecule-NAME")
    parser.add_argument("--cloud", choices=sorted(CLOUDS), default="container", help="what kind of machine")
    parser.add_argument("--json", action="store_true", help="answer in JSON (the default for create)")
    args = parser.parse_args(argv)
    console.configure(json=True)
    environment = f"molecule-{args.name}"
    try:
        if args.verb == "create":
            console.json(create(CLOUDS[args.cloud](environment), console.say))
        else:
            console.json({"removed": destroy(CLOUDS[args.cloud](environment), console.say)})
    except HangarError as problem:
        console.error(problem)
        return problem.exit_code
    return 0


def create(cloud: LocalCloud, report: Report) -> dict[str, object]:
    """Makes the machine, or leaves a fitting one as it is; says how to log in to it."""
    environment = cloud.environment
    paths.ensure_state_dir(environment)
    key = paths.default_private_key(environment)
    spec = MachineSpec(
        environment=environment,
        name=f"hangar-{environment}",
        cpus=None,
        memory_bytes=None,
        ssh_port=None,
        admin=ADMIN,
        public_key=ensure_key(key, f"hangar-{environment}"),
    )
    cloud.prepare(report)
    server = cloud.ensure(cloud.plan(spec), spec, report)
    known_hosts.pin(server, paths.known_hosts(environment))
    client_config.write(server, key)
    return {
        "name": server.name,
        "address": server.address,
        "port": server.port,
        "user": server.admin,
        "private_key": str(key),
        "known_hosts": str(paths.known_hosts(environment)),
        "host_key_alias": server.name,
        "ssh_sources": list(server.ssh_sources),
        "limits": list(server.limits),
    }


def destroy(cloud: LocalCloud, report: Report) -> list[str]:
    """Removes the machine, its volumes, its network and what was kept about it."""
    removed = cloud.destroy(report)
    state = paths.state_dir(cloud.environment)
    if state.exists():
        shutil.rmtree(state)
        removed.append(f"folder {state}")
    return removed


if __name__ == "__main__":
    sys.exit(main())
