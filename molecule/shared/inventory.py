"""Write the inventory of a scenario's machine: what `up` would write for an empty platform.yml.

A role that is tried by itself has no neighbours that it could be connected to.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from hangar import machine, paths
from hangar.backup import keys
from hangar.cloud import cloud_for
from hangar.config import Config
from hangar.inventory import render
from hangar.ssh.files import write_atomically
from hangar.ssh.keys import ensure_key


def person(environment: str, role: str) -> dict[str, object]:
    """Somebody of each role, with a key of their own beside the machine's."""
    key = ensure_key(paths.state_dir(environment) / f"{role}_id_ed25519", f"the-{role}")
    return {
        "name": f"the-{role}",
        "role": role,
        "keys": [key],
        "expires": "2999-12-31" if role == "viewer" else None,
    }


AIRBYTE = {"airbyte": "embedded", "airbyte_abctl": "abctl"}
"""The two roles that may run the section `airbyte`."""

SMALL = {
    "airbyte_abctl_least_cpus": 1,
    "airbyte_abctl_least_memory_gib": 2,
    "airbyte_abctl_least_disk_gib": 2,
}
"""The stand-in for abctl needs far less than Airbyte does."""


GOOGLE = "http://127.0.0.1:8599"
"""molecule/secret_manager/google_stand_in.py, on the machine itself."""

READ = {
    "secret_manager_reachable": True,
    "secret_manager_endpoint": GOOGLE,
    "secret_manager_identity": GOOGLE,
    "secret_manager_patience": 20,
    "secret_manager_secrets": {
        name: {
            "secret": f"projects/acme-data-1/secrets/{name}",
            "version": "latest",
            "group": "root" if name == "erp" else "monitoring",
            "pipelines": name == "erp",
        }
        for name in ("erp", "slack")
    },
}

MORE = {
    "airbyte_abctl": SMALL,
    "backup": {"backup_services": ["warehouse"]},
    "ops_agent": {"ops_agent_reachable": True},
    "secret_manager": READ,
    # No warehouse, no monitoring and no people there, whose folders it would watch.
    "vm": {"hardening_audit_secret_folders": ["/srv/airflow/secrets", "/srv/airbyte/secrets"]},
}
"""Variables that no platform.yml would set."""


def main(environment: str) -> None:
    """Write it beside the machine's keys, where destroy finds it."""
    role = environment.removeprefix("molecule-")
    neighbours: dict[str, dict[str, Any]] = {
        name: {"enabled": role in (name, "default")} for name in ("airbyte", "warehouse")
    }
    if role == "backup":
        neighbours["warehouse"] = {"enabled": True}
    folder = paths.state_dir(environment)
    if role in AIRBYTE:
        neighbours["airbyte"] = {"enabled": True, "engine": AIRBYTE[role]}
    if role == "airbyte":
        neighbours["airbyte"]["connectors"] = str(paths.REPO / "molecule/airbyte/connectors")
    if role == "airbyte_abctl":
        neighbours["airbyte"]["abctl"] = stand_in(folder)
    people = (
        [person(environment, one) for one in ("admin", "developer", "viewer")] if role == "people" else []
    )
    cloud = "vm" if role == "vm" else "container"
    # As if platform.yml lay beside the stand-in of abctl, which goes to the machine.
    config = Config.model_validate(
        {"environment": environment, "cloud": cloud, "people": people, **neighbours},
        context={"folder": folder},
    )
    server = cloud_for(config).server()
    if server is None:
        sys.exit(f"hangar-{environment} does not run")
    keys.ensure(config)
    text = render(server, config, machine.private_key(config))
    if role in MORE:
        data = yaml.safe_load(text)
        data["all"]["hosts"][server.name] |= MORE[role]
        text = yaml.safe_dump(data)
    write_atomically(folder / "hosts.yml", text)
    # Ansible looks for them beside the inventory too; the scenarios' playbooks do not stand beside them.
    (folder / "group_vars").unlink(missing_ok=True)
    (folder / "group_vars").symlink_to(paths.REPO / "playbooks/group_vars")


def stand_in(folder: Path) -> dict[str, str]:
    """Abctl cannot be had where tests run; what is installed says itself that it only records."""
    from tests.abctl.archive import pack

    archive, checksum = pack(folder)
    return {"archive": str(archive), "sha256": checksum}


if __name__ == "__main__":
    main(sys.argv[1])
