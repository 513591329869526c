"""The hunt for secrets in plain: where they are kept, and where none of them may stand."""

from __future__ import annotations

import shlex

from .conftest import Checkout

KEPT = (
    "/srv/airflow/secrets",
    "/srv/airbyte/secrets",
    "/srv/warehouse/secrets",
    "/srv/monitoring/secrets",
    "/srv/backup/secrets",
    "/srv/forwarding/secrets",
    "/srv/people/passwords",
    "/run/hangar-secrets",
)
"""Every folder of secrets that a machine may have; what comes from Google's Secret Manager is in the last one."""

SHORTEST = 12
"""Letters that a value has at least: shorter ones would be found by chance."""

SEARCH = "grep --recursive --files-with-matches --no-messages --text --fixed-strings --file=-"
OPEN = "/etc /home /opt /root /run /srv /tmp /usr/local /var"


def as_user(user: str, command: str) -> str:
    return f"sudo -u {user} sh -c {shlex.quote(command)}"


def in_docker(command: str, each: str = "", user: str = "airflow") -> str:
    """A docker command of a service user; with `each`, a second one for every line of the first's answer."""
    docker = "docker -H unix:///run/user/$(id -u)/docker.sock"
    loop = f" | xargs -r -n1 {docker} {each}" if each else ""
    return as_user(user, f"cd / && {docker} {command}{loop}")


PLACES = {
    "the process list": "sudo ps -eo args",
    "the journal": "sudo journalctl --no-pager -o cat",
    "what any process was told by environment": (
        "sudo sh -c 'cat /proc/[0-9]*/environ 2>/dev/null' | tr '\\0' '\\n'"
    ),
    "docker inspect": in_docker("ps -aq", each="inspect"),
    "docker inspect of Airbyte's": in_docker("ps -aq", each="inspect", user="airbyte"),
    "an image's history": in_docker("images -q", each="history --no-trunc"),
    "an image's history of Airbyte's": in_docker("images -q", each="history --no-trunc", user="airbyte"),
}
"""Where others can look, each with the command that shows it whole."""


def values(machine: Checkout) -> dict[str, str]:
    """What to look for, by the file that keeps it. Of several lines (a key, a file of hashes) the longest: it is there
    where the whole is, escaped or not. Public keys and names of clients are none.
    """
    # Not every machine has each of the folders, and find ends with 1 for one that is not there.
    find = f"sudo find {' '.join(KEPT)} -type f -not -name '*_id' -not -name '*.pub' 2>/dev/null || true"
    found = {
        path: machine.ssh(f"sudo cat {path}").stdout.strip() for path in machine.ssh(find).stdout.split()
    }
    needles = {path: max(text.splitlines(), key=len, default="").strip() for path, text in found.items()}
    return {path: needle for path, needle in needles.items() if len(needle) >= SHORTEST}


def standing_in(machine: Checkout, place: str, secrets: dict[str, str]) -> list[str]:
    """Return those that stand in one of PLACES."""
    text = machine.ssh(f"cd / && {PLACES[place]}").stdout
    assert text, f"nothing was read from {place}"
    return [path for path, value in secrets.items() if value in text]


def files_with(machine: Checkout, secrets: dict[str, str], where: str, user: str = "root") -> list[str]:
    """Return the files that this user can read and that hold one of them; databases and logs are searched too."""
    # grep ends with 1 where nothing is found, and with 2 for what this user may not read.
    command = f"cd / && sudo -u {user} sh -c '{SEARCH} {where} || true'"
    return machine.ssh(command, input="".join(f"{value}\n" for value in secrets.values())).stdout.split()
