"""Server + Config → inventory/<env>/hosts.yml: how Ansible gets in, and the validated settings as host variables."""

import hashlib
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from hangar import machine, paths
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.inventory import variables
from hangar.ssh import proxy
from hangar.ssh.client_config import quote
from hangar.ssh.files import write_atomically

EMULATED_PROOF = 300
"""Seconds for the login that keeps a change, where each step of it takes ten: a minute was too short beside Airflow."""

EMULATED_LOOK = 120
"""Seconds between two looks at a container's health. Each starts a program, which is dear there: every three seconds,
for five containers that start, they took all of the processor after a restart. Docker gives up on one that does not
begin within half a minute, and does not end it.
"""

EMULATED = {
    "interlock_after": EMULATED_PROOF,
    **{
        f"{role}_health_{which}": EMULATED_LOOK
        for role in ("airflow", "airbyte")
        for which in ("start_interval", "interval")
    },
}
"""What a machine is told whose processor is emulated."""

HEADER = """\
# Generated from platform.yml by ./provision.py; changes are lost.
# ansible-playbook -i inventory/{env}/hosts.yml playbooks/site.yml --check --diff
"""


def write_hosts(server: Server, config: Config) -> Path:
    """Writes the environment's inventory (readable by its owner only) and returns its path."""
    path = paths.hosts_file(server.environment)
    write_atomically(path, render(server, config, machine.private_key(config)))
    return path


def render(server: Server, config: Config, private_key: Path) -> str:
    host = {**connection(server, private_key), **variables.of(server, config, private_key)}
    data = {"all": {"hosts": {server.name: host}}}
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)
    return HEADER.format(env=server.environment) + str(text)


def connection(server: Server, private_key: Path) -> dict[str, Any]:
    """How Ansible gets in: with one key, to the machine whose host keys are pinned."""
    options = [
        "-o", f"UserKnownHostsFile={quote(paths.known_hosts(server.environment))}",
        "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", "StrictHostKeyChecking=yes",
        "-o", f"HostKeyAlias={server.name}",
        # Ansible's ssh reads ~/.ssh/config too. What that hands to every host (the agent with all its keys, a screen,
        # ports) is not for a machine that may be somebody else's by now; nor does that one name further keys of it.
        "-o", "ForwardAgent=no", "-o", "ForwardX11=no", "-o", "ClearAllForwardings=yes", "-o", "UpdateHostKeys=no",
    ]  # fmt: skip
    if server.proxy_command:
        options += ["-o", f"ProxyCommand={proxy.text(server.proxy_command)}"]
    return {
        "ansible_host": server.address,
        "ansible_port": server.port,
        "ansible_user": server.admin,
        # Ansible hands it on as it is, and ssh has a meaning for %.
        "ansible_ssh_private_key_file": str(private_key).replace("%", "%%"),
        "ansible_ssh_common_args": shlex.join(options),
        # A host's variable is stronger than ANSIBLE_HOST_KEY_CHECKING in the environment of whoever calls Ansible.
        "ansible_ssh_host_key_checking": True,
        "ansible_control_path": control_path(server),
        "ansible_python_interpreter": "/usr/bin/python3",
        "interlock_login_proof": login_proof(server.environment),
        **(EMULATED if server.emulated else {}),
    }


def control_path(server: Server) -> str:
    """Where Ansible keeps a connection open for the next call: one place for each machine and clone.

    Ansible's own name for it is made of address, port and account. On Google Cloud these are the same for every machine
    of an environment's name, so that a run would go on over another's connection, past the pinned host key.
    """
    whose = f"{paths.known_hosts(server.environment)}\n{server.id}"
    return f"%(directory)s/{hashlib.sha256(whose.encode()).hexdigest()[:12]}-%%r"


def login_proof(env: str) -> list[str]:
    """The command that proves a fresh login (hangar.ssh), for the roles' interlock."""
    python = ["env", f"PYTHONPATH={paths.REPO}", sys.executable]
    return [*python, "-m", "hangar.ssh", "prove", "--env", env]


MARKS = ("{{", "{%", "{#")
OTHER_MARKS = "#jinja2:"
"""What makes a template of a text for Ansible: Jinja's marks in it, or at its beginning the word by which it chooses
marks of its own (JINJA2_OVERRIDE in ansible/_internal/_templating/_jinja_bits.py, ansible-core 2.19 to 2.21).
"""


class _Dumper(yaml.SafeDumper):
    """Plain YAML, but that a user's text stays text: as Jinja, Ansible would run what it names on this computer."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if value.startswith(OTHER_MARKS) or any(mark in value for mark in MARKS):
        return dumper.represent_scalar("!unsafe", value, style="'")
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
