"""Sessions of every role, and containers of every service."""

import json
import shlex

import pytest
from warehouse_contract import PROGRAMS, SESSIONS


@pytest.fixture(scope="module", autouse=True)
def wanted(options):
    if not options["warehouse_enabled"]:
        pytest.skip("switched off (warehouse_enabled)")


@pytest.fixture(scope="module")
def port(options):
    return int(options["warehouse_port"])


@pytest.fixture(scope="module")
def sessions(host, port):
    """Runs statements, each in a session of its own: {key: (role, statement)} → {key: what came of it}."""

    def run(asked):
        job = [
            [role, *(rest if len(rest) == 3 else (None, "warehouse", *rest))]
            for role, *rest in asked.values()
        ]
        program = f"python3 -c {shlex.quote(SESSIONS)} {port} {PROGRAMS}/psql"
        told = host.check_output(f"echo {shlex.quote(json.dumps(job))} | {program}")
        return dict(zip(asked, json.loads(told), strict=True))

    return run


@pytest.fixture(scope="module")
def owner(host):
    """Asks as the owner, through the socket."""

    def ask(*statements):
        asked = " ".join(f"-c {shlex.quote(sql)}" for sql in statements)
        return host.check_output(f"warehouse psql -XAtq -v ON_ERROR_STOP=1 {asked}")

    return ask


@pytest.fixture(scope="module")
def schemas(options):
    """One schema of each kind, by the name that it has here."""
    here = {"raw": options["warehouse_raw_schemas"][0], "landing": options["warehouse_landing_schemas"][0]}
    return {**here, "bronze": "bronze", "silver": "silver", "gold": "gold"}


@pytest.fixture(scope="module")
def contained(host, options):
    """Runs a shell command in a container of a service user; the machine's own programs are its image."""
    image = "hangar-contract-warehouse"
    users = [user["name"] for user in options["docker_host_users"]]
    for user in users:
        made = f"tar --create --directory / bin lib lib64 | as-service {user} docker import - {image}"
        host.check_output(f"bash -o pipefail -c {shlex.quote(made)}")

    def run(user, command):
        docker = (
            f"as-service {user} docker run --rm --volume /usr:/usr:ro {image} bash -c {shlex.quote(command)}"
        )
        return host.run(docker).rc

    yield run
    for user in users:
        host.run(f"as-service {user} docker rmi {image}")
