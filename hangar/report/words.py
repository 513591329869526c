"""The sentences of the report that are neither promises nor limits: titles, commands, what is next."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hangar.cloud.base import Server
from hangar.config import Config
from hangar.elt.records import Gold

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
