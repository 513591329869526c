"""Every secret that can be rotated: what it is, what restarts, the steps in their order, and how the change is proven.

The steps are such that a call which was killed between two of them is made good by the next one, or by `up`: what is
still to be restarted is marked before the secret changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hangar.config import Config

WAREHOUSE = {
    "airbyte": "Airbyte's account in the warehouse",
    "dbt": "dbt's account in the warehouse",
    "loader": "the account of dlt and file drops in the warehouse",
    "reader": "the account that reads gold",
    "monitor": "the account that reads the warehouse's figures",
}
OF_AIRFLOW = ("dbt", "loader", "reader")
"""Accounts of the warehouse that DAGs use, by connections of Airflow's."""

NOTHING = "nothing restarts"
AT_THE_MOMENT = "nothing restarts; a task that logs in at that very moment fails and is tried again"
ALL_OF_AIRFLOW = "all of Airflow but its database, once no task runs"

MONITORING = {
    "admin": ("the password of the monitoring's dashboard", f"{NOTHING}; whoever has it open logs in again"),
    "scraper": ("the password that Prometheus asks its sources with", NOTHING),
}


@dataclass(frozen=True)
class Step:
    """`run` is a program of the machine's, run as root; `quiet` waits until no task runs; `pipelines` gives Airbyte
    what the files declare, with the secrets as they are now.
    """

    words: str
    run: tuple[str, ...] = ()
    kind: Literal["run", "quiet", "pipelines"] = "run"


@dataclass(frozen=True)
class Secret:
    """`effect` says what restarts; `proof` is what the machine's end (`agent`) tries the old and the new one with."""

    name: str
    what: str
    effect: str
    steps: tuple[Step, ...]
    proof: Mapping[str, Any] = field(default_factory=dict)


def secrets(config: Config) -> tuple[Secret, ...]:
    """What the environment's machine has."""
    found = [*_airbyte(config)] if config.airbyte.enabled else []
    found += _warehouse(config) if config.warehouse.enabled else ()
    return (*found, *_monitoring(config), *_airflow(config))


QUIET = Step("wait until no task runs", kind="quiet")
CONNECTIONS = Step("give Airflow the new connection", ("airflow-secrets", "ensure"))
AIRFLOW = ("as-service", "airflow")
STACK = "/srv/airflow/stack"
ENSURE = Step("bring Airflow to the new secret", (*AIRFLOW, f"{STACK}/ensure"))


def _mark(name: str) -> Step:
    """What `ensure`, here or in the next `up`, is to do; set before the secret changes."""
    return Step("mark what is to be restarted", (*AIRFLOW, "touch", f"/srv/airflow/state/{name}-changed"))


def _renew(name: str) -> Step:
    return Step("make a new secret", ("airflow-secrets", "renew", name))


def _airbyte(config: Config) -> Iterator[Secret]:
    embedded = config.airbyte_engine == "embedded"
    # The platform itself does not know Airflow's secret; the filter in front of it does.
    port = config.airbyte.port if embedded else config.airbyte.abctl.filter_port
    # The platform's tokens speak for themselves until their quarter of an hour is over.
    tokens = "end at once" if embedded else "end within 15 minutes"
    yield Secret(
        "airbyte-token", "Airflow's client secret at Airbyte", f"{NOTHING}; tokens of the old one {tokens}",
        (Step("make a new secret", ("airbyte-secrets", "renew", "airflow")), CONNECTIONS),
        {"kind": "airbyte", "folder": "/srv/airflow/secrets", "port": port},
    )  # fmt: skip
    if not embedded:
        return  # the operator is the platform's own administrator, whose secret Airbyte does not renew alone
    yield Secret(
        "airbyte-operator", "the operator's client secret at Airbyte (`pipelines` uses it)", NOTHING,
        (Step("make a new secret", ("airbyte-secrets", "renew", "operator")),),
        {"kind": "airbyte", "folder": "/srv/airbyte/secrets", "port": config.airbyte.port},
    )  # fmt: skip


def _warehouse(config: Config) -> Iterator[Secret]:
    for role, what in WAREHOUSE.items():
        steps = [Step("make a new password", ("warehouse", "password", role))]
        if role in OF_AIRFLOW:
            steps.append(CONNECTIONS)
        if role == "airbyte" and config.airbyte.enabled:
            steps.append(Step("give Airbyte the new password", kind="pipelines"))
        effect = NOTHING if role == "monitor" else AT_THE_MOMENT
        proof = {"kind": "warehouse", "role": role, "port": config.warehouse.port}
        yield Secret(f"warehouse-{role}", what, effect, tuple(steps), proof)


def _monitoring(config: Config) -> Iterator[Secret]:
    for user, (what, effect) in MONITORING.items():
        proof = {"kind": "monitoring", "user": user, "port": config.monitoring.page}
        steps = (Step("make a new password", ("monitoring", "renew", user)),)
        yield Secret(f"monitoring-{user}", what, effect, steps, proof)


def _airflow(config: Config) -> Iterator[Secret]:
    port = config.airflow.port
    yield Secret(
        "airflow-admin", "the password of Airflow's generated administrator",
        f"{NOTHING}; whoever is logged in stays so (airflow-keys ends that)",
        (_mark("stack"), _renew("admin_password"), ENSURE), {"kind": "login", "port": port},
    )  # fmt: skip
    yield Secret(
        "airflow-keys", "the keys that sign Airflow's log-ins and its tasks' tokens",
        f"{ALL_OF_AIRFLOW}; everybody logs in again",
        (QUIET, _mark("settings"), _renew("jwt_secret"), _renew("api_secret_key"), ENSURE),
        {"kind": "token", "port": port},
    )  # fmt: skip
    encrypt = ("docker", "compose", "--project-directory", STACK, "run", "--rm", "--no-deps", "prepare")
    yield Secret(
        "airflow-fernet", "the key that Airflow encrypts variables and connections in its database with",
        f"{ALL_OF_AIRFLOW}, twice; both keys are known in between",
        (QUIET, _mark("settings"), _renew("fernet_key"), ENSURE,
         Step("encrypt anew what the database holds", (*AIRFLOW, *encrypt, "airflow", "rotate-fernet-key")),
         QUIET, _mark("settings"), Step("forget the old key", ("airflow-secrets", "retire", "fernet_key")), ENSURE),
        {"kind": "fernet"},
    )  # fmt: skip
    yield Secret(
        "airflow-database", "the password of Airflow's own database", ALL_OF_AIRFLOW,
        (QUIET, _mark("settings"), _renew("postgres_password"), ENSURE), {"kind": "database"},
    )  # fmt: skip
