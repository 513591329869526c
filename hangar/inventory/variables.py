"""The validated settings as the roles' variables."""

from pathlib import Path
from typing import Any

from hangar import given, revision
from hangar.backup import keys
from hangar.cloud.base import Server
from hangar.cloud.gcp import endpoint
from hangar.config import Config, Connection
from hangar.config.airbyte import Abctl
from hangar.config.monitoring import Receiver
from hangar.config.people import operators
from hangar.ssh.keys import read_public_key
from hangar.trust import Certificate, certificates

ANYWHERE = ("0.0.0.0/0", "::/0")
"""Where log-ins come from when nobody says it: a machine of the user's own."""


def of(server: Server, config: Config, private_key: Path) -> dict[str, Any]:
    """The roles' variables. Each stands in that role's meta/argument_specs.yml (a test holds this)."""
    return {
        **_base(config),
        **_access(server, config, private_key),
        **_airflow(config),
        "service_users_accounts": [
            {"name": name, "uid": user.uid, "subids": user.subids} for name, user in config.users
        ],
        "service_users_dag_writers": [server.admin],
        **_people(server, config),
        **_data(config),
        **_monitoring(config),
        **_google(config),
        **_hardening(config),
        **_given(config),
        **_backup(config),
    }


def _backup(config: Config) -> dict[str, Any]:
    wanted = config.backup
    sftp = wanted.sftp
    taken = {"host": sftp.host, "port": sftp.port, "user": sftp.user, "folder": sftp.folder}
    return {
        "backup_enabled": wanted.enabled,
        "backup_schedule": wanted.schedule,
        "backup_recipients": list(wanted.recipients),
        "backup_recipients_offered": keys.offered(config),
        "backup_folders": list(wanted.folders),
        "backup_max_age_hours": wanted.max_age_hours,
        "backup_sftp": {**taken, "host_key": list(sftp.host_key)} if sftp.host else {},
        "backup_gcs": wanted.gcs.model_dump() if wanted.gcs.bucket else {},
    }


def _given(config: Config) -> dict[str, Any]:
    """What the machine reads from Secret Manager. Elsewhere than on Google Cloud it cannot, and nothing is said."""
    if config.cloud != "gcp":
        return {}
    wanted = given.given(config)
    if not wanted:
        return {"secret_manager_reachable": True, "secret_manager_secrets": {}}
    mine = {name for _, name in given.pipelines(config)}
    return {
        "secret_manager_reachable": True,
        "secret_manager_endpoint": endpoint.base(config.gcp.api_endpoint, "secretmanager"),
        "secret_manager_minutes": config.secrets.minutes,
        "secret_manager_secrets": {
            one.name: {
                "secret": one.resource, "version": one.version, "group": one.group, "pipelines": one.name in mine
            }
            for one in wanted
        },
    }  # fmt: skip


def _placed(value: Any, config: Config) -> Any:
    """The value with the file's whole path where `{secret: NAME}` stands, if it comes from Secret Manager."""
    if not given.is_elsewhere(config):
        return value
    if isinstance(value, dict) and set(value) == {"secret"}:
        return {"secret": f"{given.FOLDER}/{value['secret']}"}
    if isinstance(value, dict):
        return {key: _placed(inner, config) for key, inner in value.items()}
    return [_placed(inner, config) for inner in value] if isinstance(value, list) else value


def _hardening(config: Config) -> dict[str, Any]:
    wanted = config.hardening
    return {
        "hardening_kernel_enabled": wanted.kernel,
        "hardening_accounts_enabled": wanted.accounts,
        "hardening_audit_enabled": wanted.audit,
        "hardening_system_enabled": wanted.system,
        "hardening_audit_forward_to": wanted.forward_logs_to or "",
        "hardening_audit_forward_authority": _pem(wanted.forward_authority),
        "hardening_audit_forward_certificate": _pem(wanted.forward_certificate),
        "hardening_system_own_exceptions": [one.model_dump(mode="json") for one in wanted.exceptions],
    }


def _pem(path: Path | None) -> str:
    """The certificates in a file, without what stands around them."""
    return "".join(certificate.content for certificate in certificates([path])) if path else ""


def _base(config: Config) -> dict[str, Any]:
    return {
        "base_timezone": config.machine.timezone,
        "base_locale": config.machine.locale,
        "base_trusted_certificates": [
            {"name": certificate.name, "content": certificate.content} for certificate in trusted(config)
        ],
        "base_unattended_upgrades": config.updates.unattended,
        "maintenance_window": config.updates.window or "",
        "maintenance_revision": revision.here(),
    }


def trusted(config: Config) -> tuple[Certificate, ...]:
    """The authorities of platform.yml; where it names none, a local machine trusts what its controller trusts."""
    return certificates(config.trusted_certificates if config.is_here else config.trusted_certificates or ())


def _access(server: Server, config: Config, private_key: Path) -> dict[str, Any]:
    own = read_public_key(private_key)
    return {
        # Whoever is an admin may run Hangar too, from a computer and with a key of their own.
        "ssh_server_authorized_keys": {server.admin: _operators_keys(config, own)},
        # Everybody comes from the gateway: one's failed logins must not shut out the others.
        "ssh_server_penalty_exempt": list(server.ssh_sources),
        "firewall_ssh_sources": [*server.ssh_sources, *config.access.ssh_sources] or list(ANYWHERE),
    }


def _operators_keys(config: Config, own: str) -> list[str]:
    """The keys of all admins whose day has not come, each with that day: the same list on every operator's computer.
    The own one stands before them where no entry names it, and where it is the last; that of somebody whose day has
    come opens nothing here either.
    """
    found = [
        f'expiry-time="{person.expires:%Y%m%d}Z" {key}' if person.expires else key
        for person in operators(config.people)
        for key in person.keys
    ]
    blob = own.split()[1]
    past = [key for person in config.people if person.is_expired for key in person.keys]
    is_out = bool(found) and any(blob in key.split() for key in past)
    is_named = any(blob in line.split() for line in found)
    return found if is_named or is_out else [own, *found]


def _people(server: Server, config: Config) -> dict[str, Any]:
    enabled = {"airbyte": config.airbyte.enabled, "warehouse": config.warehouse.enabled}
    return {
        "people_accounts": [
            {
                "name": person.name, "role": person.role, "keys": list(person.keys),
                "expires": str(person.expires or ""), "email": person.email or "", "airflow": person.airflow_role,
            }
            for person in config.people
        ],
        "people_other_accounts": [server.admin],
        "remote_ssh_home_quota": config.homes.quota or "",
        "people_services": ["airflow", *(name for name, is_there in enabled.items() if is_there)],
    }  # fmt: skip


def _airflow(config: Config) -> dict[str, Any]:
    airflow = config.airflow
    return {
        "airflow_port": airflow.port,
        "airflow_live_dags_enabled": airflow.live_dags,
        "airflow_examples_enabled": airflow.examples,
        "airflow_parallelism": airflow.parallelism,
        "airflow_python_lock": str(airflow.python_lock or ""),
        "airflow_own_tools": {name: str(lock) for name, lock in airflow.tools.items()},
        "airflow_debian_packages": list(airflow.debian_packages),
        "airflow_plugins": str(airflow.plugins or ""),
        "airflow_environment": dict(airflow.environment),
        "airflow_connections": {
            name: _placed(_connection(value), config) for name, value in airflow.connections.items()
        },
        "airflow_variables": _placed(dict(airflow.variables), config),
    }


def _data(config: Config) -> dict[str, Any]:
    airbyte, warehouse = config.airbyte, config.warehouse
    return {
        "airbyte_enabled": airbyte.enabled,
        "airbyte_engine": config.airbyte_engine,
        "airbyte_port": airbyte.port,
        "airbyte_jobs_at_once": airbyte.jobs_at_once,
        "airbyte_job_hours": airbyte.job_hours,
        "airbyte_connectors": str(airbyte.connectors or ""),
        "warehouse_enabled": warehouse.enabled,
        "warehouse_port": warehouse.port,
        **(_abctl(airbyte.abctl) if config.airbyte_engine == "abctl" else {}),
    }


def _abctl(abctl: Abctl) -> dict[str, Any]:
    database = abctl.database
    return {
        "airbyte_abctl_version": abctl.version,
        "airbyte_abctl_sha256": abctl.sha256 or "",
        "airbyte_abctl_archive": abctl.archive or "",
        "airbyte_abctl_chart": abctl.chart,
        "airbyte_abctl_upgrade": abctl.upgrade,
        "airbyte_abctl_low_resource": abctl.low_resource,
        "airbyte_abctl_values": str(abctl.values or ""),
        "airbyte_abctl_database": database.model_dump() if database.host else {},
        "airbyte_abctl_google_secrets": abctl.google_secrets or "",
        "airbyte_abctl_filter_port": abctl.filter_port,
    }


def _monitoring(config: Config) -> dict[str, Any]:
    monitoring = config.monitoring
    return {
        "monitoring_port": monitoring.port,
        "monitoring_prometheus_port": monitoring.page,
        "monitoring_days": monitoring.days,
        # Prometheus' units are powers of 1024 whatever their name.
        "monitoring_disk_budget": f"{monitoring.room // 2**20}MB",
        "monitoring_limits": monitoring.warn.model_dump(),
        "monitoring_receivers": {
            name: {**_receiver(one, config), "levels": list(one.levels)}
            for name, one in monitoring.alerts.items()
            if one.kind != "google"
        },
    }


def _google(config: Config) -> dict[str, Any]:
    """Whether figures and logs go to Google Cloud. Elsewhere than there a machine cannot, and nothing is said."""
    if config.cloud != "gcp":
        return {}
    return {"ops_agent_reachable": True, "ops_agent_wanted": config.monitoring.backend == "google"}


def _receiver(one: Receiver, config: Config) -> dict[str, Any]:
    found = one.model_dump(by_alias=True, exclude_none=True)
    secret = {"secret": one.secret} if one.secret else {}
    return {**found, **_placed(secret, config)}


def _connection(value: Connection) -> Any:
    if value.uri is not None:
        return value.uri
    return value.model_dump(exclude_none=True, by_alias=True)
