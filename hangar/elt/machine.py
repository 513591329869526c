"""A conversation with the machine's end (`agent`) in the words of the records."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hangar import agents
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.elt.records import Table
from hangar.errors import HangarError, MachineUnreachable
from hangar.process.conversation import Conversation

SHOWN = ("best_products", "revenue_by_day")
"""The tables whose rows may stand in a report that is handed on. Nobody's person is in them."""


class AirflowRefused(HangarError):
    """Airflow answered with an error; `status` is HTTP's."""

    def __init__(self, what: str, status: int, said: str, resolution: str) -> None:
        super().__init__(f"Airflow refused {what}.", f"* {said} (HTTP {status})", resolution)
        self.status = status


class AirflowSilent(MachineUnreachable):
    """Airflow does not answer, though the machine does."""


class Machine:
    """Airflow and the warehouse, as far as a run of a DAG needs them."""

    def __init__(self, conversation: Conversation, server: Server, config: Config) -> None:
        self._talk = agents.Talk(conversation, server.environment, server.name)
        self._name = server.name
        self._environment = server.environment
        self._airflow = config.airflow.port
        self._warehouse = config.warehouse.port

    def is_released(self, dag: str) -> bool:
        """Whether the DAG is in the bundle that Airflow reads."""
        return bool(self._ask("released", f"whether {dag} is released", dag=dag))

    def gold(self) -> tuple[Table, ...]:
        """The tables of gold, read by the account `reader`."""
        found = self._ask("gold", "for the gold tables", port=self._warehouse, shown=list(SHOWN))
        return tuple(
            Table(
                one["name"],
                tuple(one["columns"]),
                int(one["rows"]),
                tuple(tuple(row) for row in one["first"]),
            )
            for one in found
        )

    def airflow(self, method: str, path: str, what: str, body: Any = None) -> Any:
        """Asks Airflow's public API; `what` says in words what is asked, for the error.

        Raises:
            AirflowRefused: it answered with an error.
            AirflowSilent: it does not answer.
            MachineUnreachable: the machine does not.
        """
        return self._ask("airflow", what, port=self._airflow, method=method, path=path, body=body)

    def _ask(self, op: str, what: str, **request: Any) -> Any:
        answer = self._talk.ask(op, what, **request)
        if "error" in answer:
            raise self._error(answer["error"], what)
        return answer["ok"]

    def _error(self, error: dict[str, Any], what: str) -> HangarError:
        text, env = str(error["text"]), self._environment
        match error["kind"]:
            case "refused":
                cure = f"See what it says: ./provision.py logs airflow {env}"
                if error["status"] == 401:
                    # Somebody has changed the generated administrator's password on Airflow's pages.
                    cure = f"Give it one that the machine knows: ./provision.py rotate airflow-admin {env}"
                return AirflowRefused(what, int(error["status"]), text, cure)
            case "unreachable" | "late":
                return AirflowSilent(
                    f"Airflow on {self._name} does not answer ({what}).", f"* {text}",
                    f"See what it says: ./provision.py logs airflow {env}",
                )  # fmt: skip
            case "warehouse":
                return HangarError(
                    f"The warehouse on {self._name} does not answer ({what}).", text,
                    f"See what it says: ./provision.py logs warehouse {env}",
                )  # fmt: skip
            case _:
                return HangarError(f"The machine's end of the first run failed ({what}).", text)


@contextmanager
def connected(server: Server, config: Config) -> Iterator[Machine]:
    """The machine, through SSH.

    Raises:
        MachineUnreachable: the machine does not let us in.
    """
    with agents.on(server, "hangar.elt", "first-run.log") as conversation:
        yield Machine(conversation, server, config)
