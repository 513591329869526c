"""The section `existing` of platform.yml: a machine that is there already, and how we know that it is the one."""

import base64
import binascii
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema, field_validator

from hangar.config.fields import Networks, Section, all_wrong, section, setting, wrong
from hangar.config.people import SERVICES

ADDRESS = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*$"

TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
"""Host keys that Debian 13's sshd has."""

LOCAL_ONLY = {"cpus": "leaving it out", "memory": "leaving it out", "ssh_port": "existing.port"}
"""What only a machine on this computer has, and what stands for it here."""


def _lines(value: Any) -> Any:
    """One line, several, or a list of them."""
    if isinstance(value, str):
        value = value.splitlines()
    return tuple(value) if isinstance(value, list) else () if value is None else value


HostKeys = Annotated[
    tuple[str, ...],
    BeforeValidator(_lines),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Jump(Section):
    """A host that every login passes on its way to the machine, where nothing else leads there. Your key opens an
    account there, and may forward.
    """

    address: str | None = setting(
        None, "Its name or address.", "a host name or an address such as 203.0.113.8", pattern=ADDRESS
    )  # fmt: skip
    port: int = setting(22, "Where its SSH listens.", "a port from 1 to 65535", ge=1, le=65535)
    user: str | None = setting(
        None, "Your account there.", "an account name such as debian", pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"
    )  # fmt: skip
    host_key: HostKeys = setting(
        (), "Its SSH host keys, read on its own console (cat /etc/ssh/ssh_host_*_key.pub).",
        "lines such as ssh-ed25519 AAAA…",
    )  # fmt: skip

    @field_validator("host_key")
    @classmethod
    def _keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _host_keys(value)


class Existing(Section):
    """A machine of your own, where `cloud` is existing: any Debian 13 that SSH reaches."""

    address: str | None = setting(
        None, "Its name or address.", "a host name or an address such as 203.0.113.7", pattern=ADDRESS
    )  # fmt: skip
    port: int = setting(22, "Where its SSH listens.", "a port from 1 to 65535", ge=1, le=65535)
    user: str | None = setting(
        None, "An account there that your key opens and that becomes root by sudo without a password.",
        "a lower-case account name such as debian", pattern=r"^[a-z_][a-z0-9_-]{0,30}$",
    )  # fmt: skip
    host_key: HostKeys = setting(
        (), "Its SSH host keys, read on its own console (cat /etc/ssh/ssh_host_*_key.pub).",
        "lines such as ssh-ed25519 AAAA…",
    )  # fmt: skip
    ssh_sources: Networks = setting(
        (), "The networks that log-ins come from; none means any.", "a list of networks such as 203.0.113.0/24"
    )  # fmt: skip
    jump: Jump = section(Jump)

    @field_validator("user")
    @classmethod
    def _of_ones_own(cls, value: str | None) -> str | None:
        if value == "root" or value in SERVICES:  # root may not log in once the machine is configured
            raise wrong(
                "root may not log in once the machine is configured" if value == "root"
                else f'"{value}" is taken on the machine'
            )  # fmt: skip
        return value

    @field_validator("host_key")
    @classmethod
    def _keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _host_keys(value)


def _host_keys(value: tuple[str, ...]) -> tuple[str, ...]:
    """Each as `type base64`, without a comment."""
    if any("PRIVATE KEY" in line for line in value):
        # None of its lines may be shown.
        raise wrong("this is a private key, which belongs to the machine alone")
    lines = [line.split() for line in value if line.strip()]
    found = [(why, str(number), "") for number, words in enumerate(lines) if (why := _not_a_key(words))]
    if found:
        raise all_wrong(found if len(lines) > 1 else [(found[0][0], "", "")])
    return tuple(" ".join(words[:2]) for words in lines)


def _not_a_key(words: list[str]) -> str:
    """What is wrong with a host key's line, or nothing."""
    shown = " ".join(words)
    shown = f'"{shown if len(shown) <= 40 else shown[:39] + "…"}"'
    if len(words) < 2 or words[0] not in TYPES:
        return f"{shown} is not a host key"
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        blob = b""
    name = words[0].encode()
    if blob[: 4 + len(name)] != len(name).to_bytes(4, "big") + name or len(blob) < len(name) + 32:
        return f"{shown} was cut short or changed"
    return ""


def check(value: Existing, others: dict[str, Any]) -> Existing:
    """What a machine that is there already needs.

    Raises:
        PydanticCustomError: with everything that is missing.
    """
    needed = ("address", "user", "host_key")
    found = []
    if others.get("cloud") == "existing":
        found += [("is missing", name, "") for name in needed if not getattr(value, name)]
    passed = value.jump
    said = [name for name in (*needed, "port") if getattr(passed, name) != Jump.model_fields[name].default]
    if said:
        missing = [name for name in needed if not getattr(passed, name)]
        found += [(f"is missing beside {said[0]}", f"jump.{name}", "") for name in missing]
    if found:
        raise all_wrong(found)
    return value


def check_elsewhere(value: Section) -> Section:
    """The sections `machine` and `access`, for such a machine: what means nothing there, and the key, which nobody
    but its owner can bring to it.
    """
    found = [
        ("means nothing with cloud: existing", name, right)
        for name, right in LOCAL_ONLY.items()
        if getattr(value, name, None) is not None
    ]
    if "admin" in value.model_fields_set and getattr(value, "admin", None) != "hangar":
        found.append(("means nothing with cloud: existing", "admin", "existing.user"))
    if "private_key" in type(value).model_fields and getattr(value, "private_key", None) is None:
        found.append(("is missing", "private_key", "the path of the key that opens the machine"))
    if found:
        raise all_wrong(found)
    return value
