"""The sentences of the report that are not promises: what runs where, what it does not protect from, what is next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hangar.cloud.base import Server
from hangar.config import Config
from hangar.elt.records import Gold
from hangar.machine import PAGES
from hangar.ssh.tunnel import Forward

AIRFLOW_USER = "admin"

ROLES = {
    "interlock": "Changes that cannot lock you out",
    "base": "The base: packages, time, updates",
    "service_users": "The services' accounts",
    "people": "People",
    "ssh_server": "The way in: SSH",
    "firewall": "The firewall",
    "secret_manager": "Secrets from Google Secret Manager",
    "docker_host": "Containers without root",
    "warehouse": "The warehouse",
    "airbyte": "Airbyte (embedded engine)",
    "airbyte_abctl": "Airbyte (the platform, by abctl)",
    "airflow": "Airflow",
    "remote_ssh": "Editors and tools",
    "monitoring": "Monitoring",
    "ops_agent": "Figures and logs sent to Google Cloud",
    "maintenance": "What updates need: images, restarts, reboots",
    "backup": "Backups",
    "hardening_accounts": "Hardening: passwords, sudo, accounts",
    "hardening_kernel": "Hardening: the kernel",
    "hardening_system": "Hardening: what a server does not need",
    "hardening_audit": "Hardening: what is recorded and noticed",
}
"""What each role is about, for somebody who never saw a role."""

KINDS = {
    "container": "a container on this computer",
    "vm": "a virtual machine on this computer",
    "gcp": "a virtual machine on Compute Engine",
    "existing": "a machine that was there already",
}

CANNOT = {
    "container": "A container shares its host's kernel, so some promises can only be shown on a machine of its own."
}


@dataclass(frozen=True)
class Service:
    """One thing that listens. `here` is its address on this computer, empty where it has none."""

    name: str
    machine: str
    here: str
    who: str


@dataclass(frozen=True)
class Step:
    """Something to do next: what for, and the command or address."""

    what: str
    how: str


def kind(server: Server) -> str:
    return KINDS.get(server.cloud, server.cloud)


def cannot(server: Server) -> str:
    """Why some promises were not checked."""
    return CANNOT.get(server.cloud, "These promises cannot be shown on this kind of machine.")


def command(verb: str, env: str, rest: str = "") -> str:
    """What a person types; the environment `local` needs no name."""
    return " ".join(word for word in ("./provision.py", verb, "" if env == "local" else env, rest) if word)


def password_command(env: str) -> str:
    return command("ssh", env, "sudo cat /srv/airflow/secrets/admin_password")


def services(config: Config, server: Server, forwards: Sequence[Forward]) -> list[Service]:
    """What listens, who may talk to it, and where it is on this computer."""
    here = {forward.remote: forward.url for forward in forwards}
    ssh = f"{server.address}:{server.port}"
    airflow, figures, page = config.airflow.port, config.monitoring.port, config.monitoring.page
    return [
        Service(
            "SSH",
            "port 22, the only one that answers from outside",
            ssh,
            "the operator and people with a key",
        ),
        Service(
            "Airflow", f"127.0.0.1:{airflow}", here.get(airflow, ""), "people, with Airflow's own log-in"
        ),
        *_data(config, here),
        Service(
            "Monitoring (the dashboard)",
            f"127.0.0.1:{page}",
            f"{here[page]}{PAGES['monitoring']}" if page in here else "",
            "people, with the monitoring's own password",
        ),
        Service("Node exporter", f"127.0.0.1:{figures}", "", "the monitoring, with a password"),
    ]


def _data(config: Config, here: Mapping[int, str]) -> list[Service]:
    """The services that move and hold data, as far as the machine has them."""
    airbyte, warehouse = config.airbyte.port, config.warehouse.port
    found = []
    if config.airbyte.enabled:
        found += _airbyte(config, here.get(airbyte, ""))
    if config.warehouse.enabled:
        found.append(
            Service(
                "Warehouse (Postgres)",
                f"127.0.0.1:{warehouse}",
                "",
                "Airflow and Airbyte, each with roles of its own",
            )
        )
    return found


def gold_made(gold: Gold) -> str:
    """When the gold tables were made and by what, in a sentence."""
    if gold.problem:
        return f"They could not be read. {gold.problem}"
    if not gold.tables:
        return "There are none yet: the DAG elt makes them."
    if not gold.run:
        return "No run of the DAG elt has come to a good end yet."
    return f"Made by the DAG elt, {moment(gold.made)}, run {gold.run}."


def moment(text: str) -> str:
    """A moment as Airflow writes it, for people; what it cannot be read as stays."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%d %B %Y, %H:%M:%S} UTC"
    except ValueError:
        return text


def rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _airbyte(config: Config, here: str) -> list[Service]:
    at = f"127.0.0.1:{config.airbyte.port}"
    if config.airbyte_engine == "embedded":
        who = "Airflow and the operator, each with a client of its own"
        return [Service("Airbyte API (embedded engine, not the Airbyte platform)", at, here, who)]
    return [
        Service("Airbyte", at, here, "people, with Airbyte's own log-in, and the operator"),
        Service(
            "Airbyte's filter",
            f"127.0.0.1:{config.airbyte.abctl.filter_port}",
            "",
            "Airflow: tokens, reads and jobs, nothing else",
        ),
    ]


def limits(config: Config, server: Server) -> list[str]:
    """What the machine does not protect from, in words."""
    found = []
    if server.cloud == "container":
        found.append(
            "The local container is a place to work, not a security boundary: it shares this computer's kernel, "
            "and whoever breaks out of it is on this computer."
        )
    if server.cloud == "gcp":
        found += _google(config)
    found.append(
        "Whoever can write a DAG holds everything that the user airflow holds: its connections, its database, "
        "its way out to the network. Airflow's own roles restrict only those who cannot write DAGs. The secrets "
        "of Airbyte and of the machine are out of a DAG's reach."
    )
    if config.airflow.live_dags:
        found.append(
            "The bundle “live” is on: every member of the group dags can run code as airflow without anybody "
            "having looked at it. Leave it off in production (airflow.live_dags: false)."
        )
    if config.airflow.environment:
        found.append(
            "Environment variables from platform.yml stand readable in the container's description. "
            "Secrets belong into connections."
        )
    found.append(
        "Some rules of the benchmarks are not applied, because rootless containers, editors or Airflow would not "
        "work with them. Each has its reason in docs/hardening.md, and ./provision.py audit lists them."
    )
    found.append(
        f"The operator's account {server.admin} is root by sudo: who holds its key holds the machine."
    )
    admins = [person.name for person in config.people if person.role == "admin" and not person.is_expired]
    if admins:
        found.append(f"Admins are root too, and may be the operator: {', '.join(admins)}.")
    late = [f"{person.name} ({person.expires})" for person in config.people if person.is_expired]
    if late:
        found.append(
            f"The day of {', '.join(late)} has come: no key opens, but home and account stay until "
            f"./provision.py people remove NAME {config.environment}"
        )
    if not config.updates.unattended:
        found.append("Security updates are switched off (updates.unattended). Somebody has to install them.")
    return found


def _google(config: Config) -> list[str]:
    found = [
        "Whoever may change the project's machines on Google Cloud holds this one: a start-up script runs as root at "
        "the next start, and a snapshot can be read elsewhere. Give those roles to few."
    ]
    if config.gcp.api_endpoint:
        found.append(
            f"Google's APIs were reached at {config.gcp.api_endpoint}, which is not Google's own address: all that "
            "this report says of Google Cloud is what was answered there."
        )
    return found


def next_steps(config: Config, *, holds: bool) -> list[Step]:
    """What a person does now."""
    env = config.environment
    steps = [
        Step(f"Log in to Airflow as {AIRFLOW_USER}; this shows the password", password_command(env)),
        Step("Work on the machine from VS Code: host hangar-" + env, command("ssh-config", env)),
        Step("See how the machine is", command("status", env)),
        Step("Read a service's log", command("logs airflow", env)),
        Step(
            "Change something",
            f"inventory/{env}/platform.yml, then {command('plan', env)} and {command('up', env)}",
        ),
        _removal(config),
    ]
    if config.airflow.live_dags:
        steps.insert(1, Step("Put a DAG of yours where Airflow finds it", "/srv/airflow/dags"))
    if config.cloud == "gcp":
        steps.insert(
            -1, Step("Switch it off for the night", f"{command('stop', env)}, then {command('start', env)}")
        )
    if not holds:
        mend = Step("Put right what was changed by hand, and look again", command("up", env))
        steps.insert(0, mend)
    return steps


def _removal(config: Config) -> Step:
    env = config.environment
    if config.cloud == "gcp":
        return Step(
            "Remove the machine and keep its data (--with-data: remove that too)", command("destroy", env)
        )
    return Step("Remove the machine and everything on it", command("destroy", env))
