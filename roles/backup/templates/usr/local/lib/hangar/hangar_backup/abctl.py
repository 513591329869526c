# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Airbyte's own platform (role airbyte_abctl): its databases and credentials, asked for inside its cluster's node."""

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import files
from .databases import ASKED, DUMPED, PATIENCE, plain
from .described import HOME, WORK, Described, Refused
from .records import write_whole
from .running import run, wipe
from .scratch import cluster
from .standing_in import swap

AIRBYTE = ("as-service", "airbyte")
NODE = ("docker", "exec", "--interactive", "airbyte-abctl-control-plane")
KUBECTL = ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--namespace", "airbyte-abctl")
POD, OWNER = "airbyte-db-0", "airbyte"
SECRET = "airbyte-auth-secrets"
"""The administrator's password and client, and what tokens are signed with."""

RECORDS = Path("/srv/airbyte/abctl/state")
REPLICAS = HOME / "abctl-replicas.json"
"""How many there are of each deployment, while a restore has stopped them: a call that was killed forgets none."""

DATABASES = (
    "select datname from pg_database where datallowconn and not datistemplate "
    "and datname not in ('postgres', 'restored') order by 1"
)
"""Airbyte's own, and those of its scheduler (Temporal), which knows what is to run next; not what a restore that failed
has left half full.
"""

NAME = re.compile(r"[a-z][a-z0-9_-]*")
CONTENT = "platform.json"
LOADED = 8 * 3600
STOPPED = 300.0
"""Seconds in which the platform's programs have to end."""


def make(place: Path) -> None:
    """An archive of one dump a database, and the credentials.

    Raises:
        Refused: nothing is installed, or the cluster does not answer.
    """
    folder = _empty(place.with_name("abctl-parts"))
    try:
        installed = _record("installed.json")
        if not installed:
            raise Refused("Airbyte's platform is not installed: sudo airbyte-abctl status")
        found = [] if installed.get("external_database") else _names(_ask(DATABASES).split("\n"))
        secret = json.loads(run(_kubectl("get", "secret", SECRET, "--output", "json"),
                                "Reading Airbyte's credentials", timeout=ASKED))  # fmt: skip
        content = {"chart": installed["chart"], "databases": found, "secret": secret["data"]}
        for name in found:
            with (folder / f"{name}.dump").open("xb") as sink:
                argv = _in_database("pg_dump", "--format=custom", PATIENCE, database=name)
                run(argv, f"Dumping {name} of Airbyte's platform", sink=sink, timeout=DUMPED)
        write_whole(folder / CONTENT, json.dumps(content))
        files.pack(folder.iterdir(), place, folder)
    finally:
        wipe(folder)


def tried(described: Described, archive: Path) -> int:
    """How many tables a Postgres that lives for this alone took of all the dumps.

    Raises:
        Refused: one of them cannot be restored, or none has a table.
    """
    folder = archive.with_name("abctl-tried")
    try:
        content = _unpacked(archive, folder)
        tables = 0
        for name in content["databases"]:
            # Whatever works with that server administers it, and may have written anything into its dump.
            with cluster(described, "trial", [OWNER]) as scratch:
                tables += scratch.restore(name, folder / f"{name}.dump", [OWNER], ours=False)
        if content["databases"] and not tables:
            raise Refused("The dumps of Airbyte's platform hold no table")
        return tables
    finally:
        wipe(folder)


def stop() -> None:
    """Its programs end, and its database stays. What there was of each is remembered first.

    Raises:
        Refused: they do not end.
    """
    if not REPLICAS.exists():
        said = run(
            _kubectl("get", "deployments", "--output", "json"), "Asking Airbyte's cluster", timeout=ASKED
        )
        there = {one["metadata"]["name"]: one["spec"].get("replicas", 1) for one in json.loads(said)["items"]}
        write_whole(REPLICAS, json.dumps(there))
    run(
        _kubectl("scale", "deployment", "--all", "--replicas=0"), "Stopping Airbyte's platform", timeout=ASKED
    )
    latest = time.monotonic() + STOPPED
    running = _kubectl("get", "deployments", "--output", "jsonpath={.items[*].status.replicas}")
    while run(running, "Asking Airbyte's cluster", timeout=ASKED).strip():
        if time.monotonic() > latest:
            raise Refused(
                f"Airbyte's programs have not ended within {STOPPED:.0f} seconds: sudo airbyte-abctl status"
            )
        time.sleep(2)


def restore(archive: Path) -> None:
    """Each database beside the old one and then in its place, then credentials; to be called between `stop` and
    `start`.

    Raises:
        Refused: it is of another release of Airbyte's, before anything is touched; or a step failed.
    """
    folder = WORK / "abctl-back"
    try:
        content = _unpacked(archive, folder)
        require_same(content)
        _put_databases_back(content["databases"], folder)
    finally:
        wipe(folder)
    # On standard input: an argument list is read by everybody on the machine.
    patch = _kubectl("patch", "secret", SECRET, "--type", "merge", "--patch-file", "/dev/stdin")
    given = json.dumps({"data": content["secret"]})
    run(patch, "Putting Airbyte's credentials back", text=given, timeout=ASKED)


def _put_databases_back(names: list[str], folder: Path) -> None:
    for name in names:
        _ask("drop database if exists restored with (force);")
        _ask("create database restored template template0;")
        with (folder / f"{name}.dump").open("rb") as source:
            argv = _in_database("pg_restore", "--exit-on-error", database="restored")
            run(argv, f"Restoring {name} of Airbyte's platform", source=source, timeout=LOADED)
        _ask(swap(name))


def require_same(content: dict[str, Any]) -> None:
    """Another release has other tables, and migrates them when it is installed, not when it starts."""
    here = str(_record("installed.json").get("chart", "none"))
    if content["chart"] != here:
        raise Refused(
            f"The backup is of Airbyte {content['chart']}, and {here} is installed here; nothing was touched. "
            f"Install that one (airbyte.abctl.chart: {content['chart']}), restore, then upgrade it"
        )


def require_fits(archive: Path) -> None:
    """As `restore` would say it, before anything is stopped."""
    folder = WORK / "abctl-seen"
    try:
        require_same(_unpacked(archive, folder))
    finally:
        wipe(folder)


def start() -> None:
    """As many of each as there were; that they answer is `airbyte-abctl apply`'s to wait for."""
    if not REPLICAS.exists():
        return
    for name, count in json.loads(REPLICAS.read_text()).items():
        run(_kubectl("scale", "deployment", name, f"--replicas={count:d}"), f"Starting {name}", timeout=ASKED)
    REPLICAS.unlink()


def steps() -> Iterator[list[str]]:
    """What brings the rest of it up."""
    yield ["airbyte-abctl", "apply"]
    yield ["airbyte-secrets", "ensure"]


def _unpacked(archive: Path, folder: Path) -> dict[str, Any]:
    files.unpack(archive, folder)
    try:
        content: dict[str, Any] = json.loads((folder / CONTENT).read_text())
        _names(content["databases"])
        for value in content["secret"].values():
            base64.b64decode(value, validate=True)
        dumps = [folder / f"{name}.dump" for name in content["databases"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Refused(f"{archive.name} is no copy of Airbyte's platform: {problem}") from None
    if missing := [one.name for one in dumps if one.is_symlink() or not one.is_file()]:
        raise Refused(f"{archive.name} lacks {', '.join(missing)}")
    return content


def _names(found: list[str]) -> list[str]:
    """Names that stand in statements and paths."""
    if strange := [name for name in found if not NAME.fullmatch(name)]:
        raise Refused(f"Airbyte's server has databases of names that nobody expects: {', '.join(strange)}")
    return found


def _empty(folder: Path) -> Path:
    wipe(folder)
    folder.mkdir(mode=0o700)
    return folder


def _record(name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((RECORDS / name).read_text()))
    except FileNotFoundError:
        return {}


def _kubectl(*words: str) -> list[str]:
    return [*AIRBYTE, *NODE, *KUBECTL, *words]


def _in_database(program: str, *words: str, database: str) -> list[str]:
    """A client in the database's pod, whose socket asks its own for no password."""
    client = [program, f"--username={OWNER}", f"--dbname={database}", *words]
    return _kubectl("exec", "--stdin", POD, "--", *client)


def _ask(sql: str) -> str:
    argv = _in_database("psql", *plain(), database="postgres")
    return run(argv, "Asking Airbyte's database", text=sql, timeout=ASKED).strip()
