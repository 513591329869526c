"""The section `homes` of platform.yml: how much one person may keep on the machine."""

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from hangar.config.fields import Section, quoted, read_size, setting, wrong

SMALLEST = 2 * 2**30
"""Bytes. An editor's server takes 0.7 GB, and the next version comes before the last one goes."""

SHARES = range(1, 101)


def _quota(value: object) -> str:
    """`40%` as it is, a size in bytes."""
    if share := re.fullmatch(r"(\d{1,3})\s*%", str(value)):
        if int(share[1]) not in SHARES:
            raise wrong(f"{quoted(value)} is no share of a disk")
        return f"{int(share[1])}%"
    size = read_size(value)
    if size < SMALLEST:
        raise wrong(f"{quoted(value)} is too small: one editor takes up to {SMALLEST // 2**30} GiB")
    return str(size)


Quota = Annotated[
    str,
    BeforeValidator(_quota),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}\s*%$|^\d+(\.\d+)?\s*(MiB|GiB|TiB)$"}),
]


class Homes(Section):
    """What people keep on the machine."""

    quota: Quota | None = setting(
        "40%", "What one person may have on the disk below /srv, admins apart: a size or a share of it.",
        "a size from 2GiB up such as 20GiB, a share of the disk such as 40%, or null for no limit",
    )  # fmt: skip
