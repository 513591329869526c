"""What the machine does not protect from, in words."""

from collections.abc import Iterator

from hangar.cloud.base import Server
from hangar.config import Config

BENCHMARKS = (
    "Some rules of the benchmarks are not applied, because rootless containers, editors or Airflow would not "
    "work with them. Each has its reason in docs/hardening.md, and ./provision.py audit lists them."
)


def limits(config: Config, server: Server) -> list[str]:
    """Every limit that this machine has."""
    return [
        *_of_the_place(config, server), *_of_dags(config), BENCHMARKS, *_of_accounts(config, server),
        *_of_updates(config),
    ]  # fmt: skip


def _of_the_place(config: Config, server: Server) -> Iterator[str]:
    if server.cloud == "container":
        yield (
            "The local container is a place to work, not a security boundary: it shares this computer's kernel, "
            "and whoever breaks out of it is on this computer."
        )
    if server.cloud == "gcp":
        yield (
            "Whoever may change the project's machines on Google Cloud holds this one: a start-up script runs as root "
            "at the next start, and a snapshot can be read elsewhere. Give those roles to few."
        )
        if config.gcp.api_endpoint:
            yield (
                f"Google's APIs were reached at {config.gcp.api_endpoint}, which is not Google's own address: all that "
                "this report says of Google Cloud is what was answered there."
            )


def _of_dags(config: Config) -> Iterator[str]:
    yield (
        "Whoever can write a DAG holds everything that the user airflow holds: its connections, its database, "
        "its way out to the network. Airflow's own roles restrict only those who cannot write DAGs. The secrets "
        "of Airbyte and of the machine are out of a DAG's reach."
    )
    if config.airflow.live_dags:
        yield (
            "The bundle “live” is on: every member of the group dags can run code as airflow without anybody "
            "having looked at it. Leave it off in production (airflow.live_dags: false)."
        )
    if config.airflow.environment:
        yield (
            "Environment variables from platform.yml stand readable in the container's description. "
            "Secrets belong into connections."
        )


def _of_accounts(config: Config, server: Server) -> Iterator[str]:
    yield f"The operator's account {server.admin} is root by sudo: who holds its key holds the machine."
    admins = [person.name for person in config.people if person.role == "admin" and not person.is_expired]
    if admins:
        yield f"Admins are root too, and may be the operator: {', '.join(admins)}."
    late = [f"{person.name} ({person.expires})" for person in config.people if person.is_expired]
    if late:
        yield (
            f"The day of {', '.join(late)} has come: no key opens, but home and account stay until "
            f"./provision.py people remove NAME {config.environment}"
        )


def _of_updates(config: Config) -> Iterator[str]:
    if not config.updates.unattended:
        yield "Security updates are switched off (updates.unattended). Somebody has to install them."
