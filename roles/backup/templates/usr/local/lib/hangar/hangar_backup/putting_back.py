# Written by Hangar (role backup). Changes made here are lost at the next run.
"""A backup is put back: databases beside the old ones and then in their place, secrets, files; then all starts."""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hangar_files import FileProblem

from . import abctl, databases, files, keys_and_people, room, scratch, state
from .databases import of_airflow, of_warehouse, plain
from .described import DRAINED, INCOMING, WORK, Described, Refused
from .loading import Load, Server, quoted
from .making import PATIENCE, alone, numbers
from .running import make_work, run, wipe
from .standing_in import swap, take_the_place_of

AIRFLOW, AIRBYTE = ("as-service", "airflow"), ("as-service", "airbyte")
WATCHING = ("prometheus.service", "prometheus-node-exporter.service", "prometheus-alertmanager.service")
COMPOSE = (*AIRFLOW, "docker", "compose", "--progress", "quiet", "--project-directory", "/srv/airflow/stack")
GONE = "drop database if exists restored with (force);"
PARTS = ("secrets", "airflow", "warehouse", "airbyte", "abctl", "files")


def receive(part: str, source: Any) -> None:
    """Keep a decrypted part that comes on standard input, for root alone, until it is put back.

    Raises:
        Refused: there is no such part, or no room for it. Then none is kept.
    """
    if part not in PARTS:
        raise Refused(f"There is no part {part!r}; there are {', '.join(PARTS)}")
    # A restore whose controller was killed goes on, and reads what would be overwritten.
    with alone(PATIENCE):
        INCOMING.mkdir(mode=0o700, exist_ok=True)
        try:
            with room.left(), (INCOMING / part).open("wb") as sink:
                shutil.copyfileobj(source, sink, 2**20)
        except (Refused, OSError) as problem:
            wipe(INCOMING)
            raise Refused(f"The part {part} cannot be kept: {problem}") from None


def is_littered() -> bool:
    """Whether a call that was killed has left plain copies."""
    try:
        with alone():
            return WORK.exists() or INCOMING.exists()
    except Refused:
        return False


def clean() -> None:
    """Remove them, unless somebody is at work."""
    with contextlib.suppress(Refused), alone():
        _tidy()
        wipe(INCOMING)


def tidy() -> None:
    """Remove what a backup that was killed has left, unless somebody is at work: plain copies, and a database that
    may be as large as the warehouse. What was given for a restore is let be: more of it may be on its way.
    """
    with contextlib.suppress(Refused), alone():
        _tidy()


def _tidy() -> None:
    with contextlib.suppress(Refused):
        scratch.stop()
    wipe(WORK)


def restore(described: Described, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Put back what was received; says what it does. `wanted`: "id", "parts" (name → bytes, sha256), "numbers",
    "roles".

    A call that was cut short is made good by the same call again.

    Raises:
        Refused: before anything is touched, where a part is not whole or belongs to other numbers; later where a
            step fails, which leaves the old database in its place.
    """
    with alone(PATIENCE):
        _require_whole(wanted["parts"])
        _require_numbers(wanted["numbers"])
        make_work()
        if "abctl" in wanted["parts"] and described.abctl:
            abctl.require_fits(INCOMING / "abctl")
        half = f"the restore of {wanted['id']} has not come to its end; give the same command again"
        state.tell(described, state.remember(unfinished=wanted["id"], problem=half))
        try:
            yield from _put_back(described, wanted)
        except (FileProblem, OSError) as problem:
            raise Refused(str(problem)) from None
        finally:
            wipe(WORK)
            wipe(INCOMING)
        state.tell(described, state.remember(unfinished="", problem=""))


def _put_back(described: Described, wanted: Mapping[str, Any]) -> Iterator[str]:
    there = set(wanted["parts"])
    yield "stop what works with the data"
    _stop(described)
    if "abctl" in there and described.abctl:
        abctl.stop()
    yield "put back keys and passwords"
    keys_and_people.put_back(INCOMING / "secrets")
    if "files" in there:
        yield "put back DAGs and their data"
        _files(INCOMING / "files")
    if "airflow" in there and described.airflow:
        yield "put back Airflow's database"
        _airflow(INCOMING / "airflow")
    if "warehouse" in there and described.warehouse:
        yield "put back the warehouse"
        _warehouse(described, INCOMING / "warehouse", wanted["roles"])
    if "airbyte" in there and described.airbyte:
        yield "put back Airbyte's connections and jobs"
        _airbyte(INCOMING / "airbyte")
    if "abctl" in there and described.abctl:
        yield "put back the connections and jobs of Airbyte's platform"
        abctl.restore(INCOMING / "abctl")
    yield "start everything again"
    _start(described)


def _require_whole(wanted: Mapping[str, Mapping[str, Any]]) -> None:
    for part, one in wanted.items():
        place = INCOMING / part
        size = place.stat().st_size if place.is_file() else 0
        if size != one["bytes"]:
            raise Refused(
                f"The part {part} has not come whole ({size} of {one['bytes']} bytes); nothing was touched"
            )
        with place.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != one["sha256"]:
                raise Refused(f"The part {part} has changed on its way; nothing was touched")


def _require_numbers(wanted: Mapping[str, int]) -> None:
    here = numbers()
    other = [
        f"{name} {number} (here {here[name]})"
        for name, number in wanted.items()
        if here.get(name, number) != number
    ]
    if other:
        raise Refused(
            f"The backup's files belong to other numbers: {', '.join(other)}. Nothing was touched: "
            "say the same numbers in platform.yml (users)"
        )


def _stop(described: Described) -> None:
    if described.airflow:
        run([*AIRFLOW, "systemctl", "--user", "stop", "airflow.service"], "Stopping Airflow")
    if described.airbyte:
        run([*AIRBYTE, "systemctl", "--user", "stop", "airbyte.service"], "Stopping Airbyte")


def _files(archive: Path) -> None:
    folder = WORK / "files"
    with room.left():
        files.unpack(archive, folder)
    for top in sorted(folder.glob("*/*")):
        files.replace(top, files.ROOT / top.relative_to(folder))


def _airflow(dump: Path) -> None:
    run([*COMPOSE, "up", "--detach", "--wait", "postgres"], "Starting Airflow's database")

    def sql(text: str) -> None:
        run(of_airflow("psql", *plain(), database="postgres"), "Asking Airflow's database", text=text)

    sql(f"{GONE} create database restored template template0;")
    with _whole_or_gone(sql), dump.open("rb") as source:
        argv = of_airflow("pg_restore", "--exit-on-error", database="restored")
        run(argv, "Restoring Airflow's database", source=source)
    sql(swap("airflow"))


def _warehouse(described: Described, dump: Path, roles: list[str]) -> None:
    def client(program: str, *words: str, database: str, role: str) -> list[str]:
        return of_warehouse(described, program, *words, database=database, role=role)

    def sql(text: str) -> str:
        argv = client("psql", *plain(), database="postgres", role="warehouse")
        return run(argv, "Asking the warehouse", text=text, user="warehouse")

    known = sql(databases.ROLES).split()
    made = "".join(f"create role {quoted(role)}; " for role in roles if role not in known)
    sql(f"{made}{GONE}")
    sql("create database restored template template0;")
    server = Server(client, "warehouse", "warehouse", described.programs)
    with _whole_or_gone(sql):
        Load(server, "restored", dump).by_owners(roles)
    sql(swap("warehouse"))


@contextlib.contextmanager
def _whole_or_gone(sql: Callable[[str], object]) -> Iterator[None]:
    """What is loaded while this lasts goes again if it does not come to its end: the room is needed, and the database
    that is there stays.
    """
    try:
        with room.left():
            yield
    except BaseException:
        with contextlib.suppress(Refused):
            sql(GONE)
        raise


def _airbyte(archive: Path) -> None:
    folder = WORK / "airbyte"
    with room.left():
        files.unpack(archive, folder)
    take_the_place_of(databases.AIRBYTE_STATE, folder / "state.sqlite")


def _start(described: Described) -> None:
    """Each service as its role brings it up, with the secrets that it has now; people as platform.yml says."""
    if described.abctl:
        abctl.start()
    for argv in _steps(described):
        try:
            run(argv, " ".join(argv))
        except Refused as problem:
            raise Refused(f"{problem}. The data are in place; ./provision.py up goes on from here") from None


def _steps(described: Described) -> Iterator[list[str]]:
    # They read their passwords when they start.
    yield ["systemctl", "try-restart", *WATCHING]
    if described.warehouse:
        yield ["warehouse", "ensure"]
    if described.airbyte:
        yield ["airbyte-secrets", "ensure"]
        yield [*AIRBYTE, "touch", "/srv/airbyte/state/settings-changed"]
        yield [*AIRBYTE, "/srv/airbyte/stack/ensure"]
    if described.abctl:
        yield from abctl.steps()
    if described.airflow:
        yield ["systemd-tmpfiles", "--create", "/etc/tmpfiles.d/hangar-airflow.conf"]
        yield ["airflow-secrets", "ensure"]
        yield [*AIRFLOW, "touch", "/srv/airflow/state/settings-changed"]
        yield [*AIRFLOW, "/srv/airflow/stack/ensure"]
        yield ["airflow-accounts", "apply"]
        if DRAINED.exists():
            # The backup was made while no task could begin; nobody else would give these pools their slots.
            yield ["systemctl", "start", "hangar-resume.service"]
