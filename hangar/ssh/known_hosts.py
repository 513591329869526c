"""An environment's own known_hosts: pinned before the first connection, replaced only for a new machine."""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from hangar.cloud.base import Server
from hangar.errors import HangarError, MachineUnreachable
from hangar.ssh import jump
from hangar.ssh.files import write_atomically

HEADER = "# The host keys of machine "


def pin(server: Server, path: Path) -> bool:
    """Writes the machine's keys, learned from its cloud; returns whether the file changed.

    Raises:
        HangarError: the same machine shows other keys than before.
    """
    text = render(server)
    if path.exists():
        before = path.read_text(encoding="utf-8")
        # In which order the cloud or platform.yml names them means nothing.
        if set(before.splitlines()) != set(text.splitlines()) and machine_id(before) == server.id:
            raise HangarError(
                f"The machine {server.name} has other SSH host keys than when it was made.",
                f"* Pinned in {path}\n* Nobody should have changed them; a stranger may be answering.",
                f"If you changed them yourself, remove {path} and run this again.",
            )
    return write_atomically(path, text)


def render(server: Server) -> str:
    keys = "".join(f"{server.name} {key}\n" for key in server.host_keys)
    passed = "".join(
        f"{jump.PREFIX}{server.name} {key}\n" for key in (server.jump.host_keys if server.jump else ())
    )
    return f"{HEADER}{server.id}\n{keys}{passed}"


def machine_id(text: str) -> str:
    """The id of the machine that a known_hosts file of ours was written for."""
    first = text.split("\n", 1)[0]
    return first.removeprefix(HEADER) if first.startswith(HEADER) else ""


def is_for(server: Server, path: Path) -> bool:
    """Whether the file was written for this machine, and not for one of its name that is gone."""
    return path.exists() and machine_id(path.read_text(encoding="utf-8")) == server.id


def pinned(path: Path) -> tuple[str, ...]:
    """The machine's keys in a known_hosts file of ours, `type base64`; not those of a jump host."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return tuple(line.partition(" ")[2] for line in lines if line and not line.startswith(("#", jump.PREFIX)))


def is_another_key(said: str) -> bool:
    """Whether ssh refused a machine because its host key is not the pinned one."""
    return "host key" in said.lower() and "verification failed" in said.lower()


def another_key(name: str, keys: Sequence[str], said: str) -> MachineUnreachable:
    """The error for a machine that shows another host key than the pinned ones, `keys`."""
    return MachineUnreachable(
        f"What answers as {name} does not show the SSH host key that is pinned here; nothing was sent to it.",
        shown_and_pinned(keys, said),
        "A stranger may be answering: find out who changed it before you go on. If the machine was made anew meanwhile,"
        " run the same command again: it learns the new key from where the machine was made. If somebody changed the"
        " keys on the machine, put the old ones back.",
    )


def shown_and_pinned(keys: Sequence[str], said: str) -> str:
    """The fingerprints for a person to compare; `said` is what ssh said of the key that it was shown."""
    lines = [f"* Pinned: {key.split()[0]} {fingerprint(key)}" for key in keys]
    shown = re.search(r"fingerprint for the (\S+) key sent by the remote host is\s+(SHA256:\S+?)\.?\s", said)
    if shown:
        lines.insert(0, f"* It shows: {shown[1]} {shown[2]}")
    return "\n".join(lines)


def fingerprint(key: str) -> str:
    """A public key's fingerprint as ssh shows it; `key` is `type base64`."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
