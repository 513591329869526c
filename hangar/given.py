"""The secrets that people give: which are named, and where each of them is in Secret Manager."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hangar.config.connections import references
from hangar.config.secrets import RESOURCE
from hangar.errors import HangarError

if TYPE_CHECKING:
    from hangar.config import Config

FOLDER = "/run/hangar-secrets"
"""Where the machine keeps what it has read, in memory: a file a secret."""

MADE_THERE = ("warehouse_airbyte",)
"""What pipelines/*.yml may name and the machine has made for itself (playbooks/group_vars, airbyte_named_secrets)."""

MONITORING = "monitoring"


@dataclass(frozen=True)
class Given:
    """A secret by the name that platform.yml and pipelines/*.yml have for it. `version` is a number or `latest`;
    `group` may read it beside root; `used` says where it is named.
    """

    name: str
    project: str
    secret: str
    version: str
    group: str
    used: tuple[str, ...]

    @property
    def resource(self) -> str:
        """As Google names it."""
        return f"projects/{self.project}/secrets/{self.secret}"

    @property
    def file(self) -> str:
        """Where it is on the machine."""
        return f"{FOLDER}/{self.name}"


def is_elsewhere(config: "Config") -> bool:
    """Whether Secret Manager has them, and not the machine's disk."""
    return config.secrets.source == "secret_manager"


def require_kept_here(config: "Config", name: str) -> None:
    """Raises HangarError where Secret Manager has the secrets: what is put on the machine would not be used."""
    if not is_elsewhere(config):
        return
    one = _given(config, name, ())
    raise HangarError(
        f"{config.environment} has its secrets in Google Secret Manager (secrets.source), not on the machine.",
        f"* {name} is {one.resource}",
        f"Add a version: gcloud secrets versions add {one.secret} --project {one.project} --data-file FILE\n"
        f"The machine picks it up within {config.secrets.minutes} minutes; a first one (gcloud secrets create "
        f"{one.secret} …) with: ./provision.py up {config.environment}",
    )


def given(config: "Config") -> tuple[Given, ...]:
    """What the machine has to read from Secret Manager, by name; nothing where the machine itself keeps it.

    Raises:
        ConfigError: what pipelines/*.yml declares is wrong.
    """
    if not is_elsewhere(config):
        return ()
    found: dict[str, list[str]] = {}
    for where, name in _named(config):
        found.setdefault(name, []).append(where)
    return tuple(_given(config, name, tuple(used)) for name, used in sorted(found.items()))


def _given(config: "Config", name: str, used: tuple[str, ...]) -> Given:
    wanted = config.secrets
    prefix = f"{config.server_name}-" if wanted.prefix is None else wanted.prefix
    written = wanted.named.get(
        name, f"projects/{wanted.project or config.gcp.project}/secrets/{prefix}{name}"
    )
    place = RESOURCE.fullmatch(written)
    assert place is not None, "platform.yml lets no other through"
    group = MONITORING if any(one.startswith(f"{MONITORING}.") for one in used) else "root"
    return Given(name, place["project"], place["secret"], place["version"] or "latest", group, used)


def _named(config: "Config") -> Iterator[tuple[str, str]]:
    """(where, name) of every reference."""
    for name, connection in config.airflow.connections.items():
        where = f"airflow.connections.{name}"
        if connection.password:
            yield f"{where}.password", connection.password.secret
        yield from references(connection.extra or {}, f"{where}.extra")
    for name, value in config.airflow.variables.items():
        yield from references(value, f"airflow.variables.{name}")
    for name, receiver in config.monitoring.alerts.items():
        if receiver.secret:
            yield f"{MONITORING}.alerts.{name}.secret", receiver.secret
    yield from pipelines(config)


def pipelines(config: "Config") -> Iterator[tuple[str, str]]:
    """(where, name) of what pipelines/*.yml names and the machine did not make.

    Raises:
        ConfigError: they are wrong.
    """
    if not (config.airbyte.enabled and config.warehouse.enabled):
        return
    from hangar.airbyte import load, model  # they are read for machines that have both ends alone

    declared = load.load(config)
    for kind, actors in (("sources", declared.sources), ("destinations", declared.destinations)):
        for name, actor in actors.items():
            for at, secret in model.references(actor.configuration).items():
                if secret not in MADE_THERE:
                    yield f"pipelines: {kind}.{name}.{at}", str(secret)
