"""A machine to be upgraded. Docker, systemd and apt are written down instead of called; files and SQLite are real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hangar.upgrade import agent

LISTENS = """#!/bin/sh
echo "${{0##*/}} $*" >> {place}/asked
case "${{0##*/}} $*" in
$FAILS) cat > /dev/null; printf "$PRINTS"; echo "E: no such mirror" >&2; exit 100;;
*" psql "*)
    cat > {place}/sql
    case "$(cat {place}/sql)" in
    *pg_tables*) echo alembic_version;;
    *version_num*) cat {place}/head;;
    *) cat {place}/sql >> {place}/said;;
    esac;;
*" pg_dump "*) echo dump of $(cat {place}/head);;
*" pg_restore "*) cat > {place}/restored;;
*"container ls"*) echo c1;;
*"container inspect"*) echo hangar/airflow:1 sha256:that-runs;;
*"image ls --format"*) cat {place}/second 2>/dev/null;;
*" python3 -c "*) echo "$INSIDE";;
*"config lint"*) printf 'Found issues in your airflow.cfg:\\n  - Removed `check_slas`.\\n\\nPlease update\\n';;
"apt-get --simulate --quiet autoremove"*) cat {place}/unneeded 2>/dev/null;;
"apt-get --quiet --yes remove"*) ;;
"apt-get --simulate"*) echo 'Inst less [668-1] (668-2 Debian:13.3/stable [amd64])';;
"apt-get --quiet --yes"*) sed -i s/668-1/668-2/ {place}/installed;;
"dpkg-query"*) cat {place}/installed;;
esac
"""
"""What the machine's programs answer, as far as an upgrade listens."""

PROGRAMS = (
    "as-service",
    "systemctl",
    "systemd-run",
    "apt-get",
    "dpkg",
    "dpkg-query",
    "docker-hosts",
    "maintenance",
    "airflow-accounts",
    "airbyte-abctl",
    "airbyte-secrets",
)


class Machine:
    def __init__(self, place: Path) -> None:
        self.place, self.root = place, place / "root"
        self.file("srv/airflow/stack/image/images.json", json.dumps({"images": ["hangar/airflow:1"]}))
        self.file("srv/airflow/stack/compose.yaml", "image: hangar/airflow:1\n")
        self.file("srv/airflow/state/.keep", "")
        self.file("srv/maintenance/.keep", "")
        self.file("usr/local/sbin/airflow-release", "old\n").chmod(0o755)
        self.file("etc/systemd/user/airflow.service", "old\n")
        self.file("etc/ssh/sshd_config", "old\n")
        self.file(
            "etc/hangar/maintenance.json", json.dumps({"airflow": 0, "airbyte": False, "revision": "aaaa"})
        )
        (place / "head").write_text("1\n")
        (place / "installed").write_text("ii  less 668-1\nii  docker.io 26\n")

    def file(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def text(self, name: str) -> str:
        return (self.root / name).read_text()

    def asked(self) -> list[str]:
        path = self.place / "asked"
        return path.read_text().splitlines() if path.exists() else []


def ask(op: str, **request: Any) -> Any:
    return agent.Agent().answer(json.dumps({"op": op, **request}))


def upgraded(machine: Machine) -> None:
    """What the playbook of a newer checkout leaves."""
    machine.file("srv/airflow/stack/compose.yaml", "image: hangar/airflow:2\n")
    machine.file("srv/airflow/stack/new", "")
    machine.file("usr/local/sbin/airflow-new", "")
    machine.file("usr/local/sbin/people", "another role's\n")
    machine.file("etc/systemd/user/airflow.service", "new\n")
    machine.file("etc/ssh/sshd_config", "new\n")
    machine.file(
        "etc/hangar/maintenance.json", json.dumps({"airflow": 0, "airbyte": False, "revision": "bbbb"})
    )
