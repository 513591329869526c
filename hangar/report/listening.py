"""What listens on the machine, who may talk to it, and where it is on this computer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hangar.cloud.base import Server
from hangar.config import Config
from hangar.machine import PAGES
from hangar.ssh.tunnel import Forward


@dataclass(frozen=True)
class Service:
    """One thing that listens. `here` is its address on this computer, empty where it has none."""

    name: str
    machine: str
    here: str
    who: str


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
