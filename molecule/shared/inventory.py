"""Write the inventory of a scenario's machine: what `up` would write for an empty platform.yml.

A role that is tried by itself has no neighbours that it could be connected to.
"""

import sys

from hangar import machine, paths
from hangar.cloud import cloud_for
from hangar.config import Config
from hangar.inventory import render
from hangar.ssh.files import write_atomically


def main(environment: str) -> None:
    """Write it beside the machine's keys, where destroy finds it."""
    role = environment.removeprefix("molecule-")
    neighbours = {name: {"enabled": role in (name, "default")} for name in ("airbyte", "warehouse")}
    cloud = "vm" if role == "vm" else "container"
    config = Config.model_validate({"environment": environment, "cloud": cloud, **neighbours})
    server = cloud_for(config).server()
    if server is None:
        sys.exit(f"hangar-{environment} does not run")
    folder = paths.state_dir(environment)
    write_atomically(folder / "hosts.yml", render(server, config, machine.private_key(config)))
    # Ansible looks for them beside the inventory too; the scenarios' playbooks do not stand beside them.
    (folder / "group_vars").unlink(missing_ok=True)
    (folder / "group_vars").symlink_to(paths.REPO / "playbooks/group_vars")


if __name__ == "__main__":
    main(sys.argv[1])
