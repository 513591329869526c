# Written by Hangar (role backup). Changes made here are lost at the next run.
"""A dump is worth something when it can be restored: it is, into a Postgres that lives for this alone."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import inside
from .databases import plain
from .described import WORK, Described
from .loading import Load, Server, quoted
from .running import Failed, account, run, wipe

USER = "postgres"
UNIT = "hangar-backup-trial.service"
LOCALE = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8")
SETTINGS = {
    "listen_addresses": "", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
    "wal_level": "minimal", "max_wal_senders": "0", "max_connections": "10", "shared_buffers": "64MB",
    "autovacuum": "off", "jit": "off", "log_min_error_statement": "panic", "log_error_verbosity": "terse",
}  # fmt: skip
"""Nothing in it has to survive, and none of what it holds goes into a log."""

CAGE = {
    "Type": "notify", "User": USER, "Group": USER, "UMask": "0077", "Nice": "10", "KillSignal": "SIGQUIT",
    "TimeoutStartSec": "2min", "TimeoutStopSec": "30s", "RuntimeMaxSec": "12h",
    "PrivateNetwork": "yes", "RestrictAddressFamilies": "AF_UNIX", "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "PrivateDevices": "yes", "PrivateIPC": "yes", "ProtectProc": "invisible", "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes", "ProtectControlGroups": "yes", "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes", "LockPersonality": "yes", "SystemCallArchitectures": "native",
    "TemporaryFileSystem": "/srv:ro", "InaccessiblePaths": "-/run/dbus -/run/docker.sock -/etc/ssh -/var/log",
}  # fmt: skip
"""What strangers wrote runs in it: it sees its own folder and nobody else's, and no network."""

TABLES = "select count(*) from pg_class where relkind in ('r', 'p') and relnamespace in (select oid from pg_namespace"
TABLES += " where nspname !~ '^(pg_|information_schema$)')"


class Scratch:
    """A running cluster; nobody but Debian's account postgres reaches its socket."""

    def __init__(self, described: Described, folder: Path, owner: str) -> None:
        self._server = Server(self._client, USER, owner, described.programs)
        self._folder = folder

    def restore(self, name: str, dump: Path, roles: Iterable[str], *, ours: bool) -> int:
        """Restore a dump with all that belongs to it, and count its tables. `ours` says that nobody else administers
        the server that it came from: then owners and rights come back too. Else all of it becomes one role's.

        Raises:
            Refused: it cannot be restored.
        """
        others = [role for role in roles if role != self._server.owner]
        made = [f"create role {quoted(role)} login;" for role in others]
        owner = self._server.owner if ours else others[0]
        self._sql("postgres", "\n".join([*made, f"create database {quoted(name)} owner {quoted(owner)};"]))
        load = Load(self._server, name, dump, self._folder.parent)
        if ours:
            load.by_owners(others)
        else:
            load.by_one(owner)
        return int(self._sql(name, TABLES))

    def _sql(self, database: str, text: str) -> str:
        argv = self._client("psql", *plain(), database=database, role=self._server.owner)
        return run(argv, "Asking the scratch database", text=text, user=USER).strip()

    def _client(self, program: str, *words: str, database: str, role: str) -> list[str]:
        place = [f"--host={self._folder}", f"--username={role}", f"--dbname={database}"]
        return [str(self._server.programs / program), *place, *words]


@contextmanager
def cluster(described: Described, owner: str, roles: Iterable[str], work: Path = WORK) -> Iterator[Scratch]:
    """A cluster that is gone, with all that was in it, when the block ends. `owner` is its superuser."""
    folder, data = work / "scratch", work / "scratch" / "data"
    stop()
    wipe(folder)
    folder.mkdir(mode=0o700)
    shutil.chown(folder, account(USER)["user"], account(USER)["group"])
    words = [f"--pgdata={data}", f"--username={owner}", "--auth=peer", "--no-sync", *LOCALE]
    run([described.programs / "initdb", *words], "Making a scratch database", user=USER)
    names = "".join(f"trial {USER} {quoted(role)}\n" for role in sorted({owner, *roles}))
    for name, text in (("pg_hba.conf", "local all all peer map=trial\n"), ("pg_ident.conf", names)):
        inside.put_text(text, data / name, account(USER)["user"], account(USER)["group"])
    try:
        start(described, folder)
        yield Scratch(described, folder, owner)
    finally:
        stop()
        wipe(folder)


def start(described: Described, folder: Path) -> None:
    """The server, in a unit of its own."""
    properties = [f"--property={name}={value}" for name, value in CAGE.items()]
    properties += [f"--property={name}={folder}" for name in ("BindPaths", "ReadWritePaths")]
    argv = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--setenv=LC_ALL=C.UTF-8", *properties]
    run([*argv, *server(described, folder)], "Starting a scratch database")


def server(described: Described, folder: Path) -> list[str]:
    """The words that start it."""
    settings = {**SETTINGS, "unix_socket_directories": str(folder)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [str(described.programs / "postgres"), "-D", str(folder / "data"), *options]


def stop() -> None:
    """It ends, also one that a killed call left."""
    try:
        run(["systemctl", "stop", UNIT], "Stopping the scratch database")
    except Failed as problem:
        if "not loaded" not in problem.said:
            raise
