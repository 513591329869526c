"""Server + Config → inventory/<env>/hosts.yml: how Ansible gets in, and the validated settings as host variables."""

import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from hangar import machine, paths
from hangar.cloud.base import Server
from hangar.config import Config, Connection
from hangar.config.monitoring import Monitoring
from hangar.ssh import proxy
from hangar.ssh.client_config import quote
from hangar.ssh.files import write_atomically
from hangar.ssh.keys import read_public_key
from hangar.trust import Certificate, certificates

ANYWHERE = ("0.0.0.0/0", "::/0")
"""Where log-ins come from when nobody says it: a machine of the user's own."""

HEADER = """\
# Generated from platform.yml by ./provision.py; changes are lost.
# ansible-playbook -i inventory/{env}/hosts.yml playbooks/site.yml --check --diff
"""


def write_hosts(server: Server, config: Config) -> Path:
    """Writes the environment's inventory (readable by its owner only) and returns its path."""
    path = paths.hosts_file(server.environment)
    write_atomically(path, render(server, config, machine.private_key(config)))
    return path


def render(server: Server, config: Config, private_key: Path) -> str:
    variables = {**connection(server, private_key), **settings(server, config, private_key)}
    data = {"all": {"hosts": {server.name: variables}}}
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)
    return HEADER.format(env=server.environment) + str(text)


def connection(server: Server, private_key: Path) -> dict[str, Any]:
    """How Ansible gets in: with one key, to the machine whose host keys are pinned."""
    options = [
        "-o", f"UserKnownHostsFile={quote(paths.known_hosts(server.environment))}",
        "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", "StrictHostKeyChecking=yes",
        "-o", f"HostKeyAlias={server.name}",
    ]  # fmt: skip
    if server.proxy_command:
        options += ["-o", f"ProxyCommand={proxy.text(server.proxy_command)}"]
    return {
        "ansible_host": server.address,
        "ansible_port": server.port,
        "ansible_user": server.admin,
        # Ansible hands it on as it is, and ssh has a meaning for %.
        "ansible_ssh_private_key_file": str(private_key).replace("%", "%%"),
        "ansible_ssh_common_args": shlex.join(options),
        "ansible_python_interpreter": "/usr/bin/python3",
        "interlock_login_proof": login_proof(server.environment),
    }


def login_proof(env: str) -> list[str]:
    """The command that proves a fresh login (hangar.ssh), for the roles' interlock."""
    python = ["env", f"PYTHONPATH={paths.REPO}", sys.executable]
    return [*python, "-m", "hangar.ssh", "prove", "--env", env]


def settings(server: Server, config: Config, private_key: Path) -> dict[str, Any]:
    """The roles' variables. Each stands in that role's meta/argument_specs.yml (a test holds this)."""
    return {
        **_base(config),
        **_access(server, config, private_key),
        **_airflow(config),
        "service_users_accounts": [
            {"name": name, "uid": user.uid, "subids": user.subids} for name, user in config.users
        ],
        "service_users_dag_writers": [server.admin],
        **_data(config),
        **_monitoring(config.monitoring),
    }


def _base(config: Config) -> dict[str, Any]:
    return {
        "base_timezone": config.machine.timezone,
        "base_locale": config.machine.locale,
        "base_trusted_certificates": [
            {"name": certificate.name, "content": certificate.content} for certificate in trusted(config)
        ],
        "base_unattended_upgrades": config.updates.unattended,
    }


def trusted(config: Config) -> tuple[Certificate, ...]:
    """The authorities of platform.yml; where it names none, a local machine trusts what its controller trusts."""
    return certificates(
        config.trusted_certificates if config.cloud == "container" else config.trusted_certificates or ()
    )


def _access(server: Server, config: Config, private_key: Path) -> dict[str, Any]:
    return {
        "ssh_server_authorized_keys": {server.admin: [read_public_key(private_key)]},
        # Everybody comes from the gateway: one's failed logins must not shut out the others.
        "ssh_server_penalty_exempt": list(server.ssh_sources),
        "firewall_ssh_sources": [*server.ssh_sources, *config.access.ssh_sources] or list(ANYWHERE),
    }


def _airflow(config: Config) -> dict[str, Any]:
    airflow = config.airflow
    return {
        "airflow_port": airflow.port,
        "airflow_live_dags_enabled": airflow.live_dags,
        "airflow_examples_enabled": airflow.examples,
        "airflow_parallelism": airflow.parallelism,
        "airflow_python_lock": str(airflow.python_lock or ""),
        "airflow_debian_packages": list(airflow.debian_packages),
        "airflow_plugins": str(airflow.plugins or ""),
        "airflow_environment": dict(airflow.environment),
        "airflow_connections": {name: _connection(value) for name, value in airflow.connections.items()},
    }


def _data(config: Config) -> dict[str, Any]:
    airbyte, warehouse = config.airbyte, config.warehouse
    return {
        "airbyte_enabled": airbyte.enabled,
        "airbyte_port": airbyte.port,
        "airbyte_jobs_at_once": airbyte.jobs_at_once,
        "airbyte_job_hours": airbyte.job_hours,
        "warehouse_enabled": warehouse.enabled,
        "warehouse_port": warehouse.port,
    }


def _monitoring(monitoring: Monitoring) -> dict[str, Any]:
    return {
        "monitoring_port": monitoring.port,
        "monitoring_prometheus_port": monitoring.page,
        "monitoring_days": monitoring.days,
        # Prometheus' units are powers of 1024 whatever their name.
        "monitoring_disk_budget": f"{monitoring.room // 2**20}MB",
        "monitoring_limits": monitoring.warn.model_dump(),
        "monitoring_receivers": {
            name: {**one.model_dump(by_alias=True, exclude_none=True), "levels": list(one.levels)}
            for name, one in monitoring.alerts.items()
        },
    }


def _connection(value: Connection) -> Any:
    if value.uri is not None:
        return value.uri
    return value.model_dump(exclude_none=True, by_alias=True)


class _Dumper(yaml.SafeDumper):
    """Plain YAML, but that a user's braces stay braces: Ansible must not run them as Jinja."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if any(mark in value for mark in ("{{", "{%", "{#")):
        return dumper.represent_scalar("!unsafe", value, style="'")
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
