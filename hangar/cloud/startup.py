"""The start-up script: the same for every target, run as root at each boot before SSH."""

import shlex

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hangar.cloud.base import MachineSpec
from hangar.paths import REPO

MANAGED = "Written by Hangar; changes are lost."

FINISHED = "/run/hangar-startup-finished"
"""What it leaves behind when it has done all; gone at the next boot."""


def render(spec: MachineSpec, data_device: str = "") -> str:
    """The script that admits the administrator of `spec`. `data_device` is the disk to be mounted at /srv, where
    nothing else mounts it.
    """
    environment = Environment(
        loader=FileSystemLoader(REPO / "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # shell, not HTML: every value goes through `quote`
    )
    environment.filters["quote"] = shlex.quote
    template = environment.get_template("startup.sh.j2")
    return template.render(
        managed=MANAGED,
        admin=spec.admin,
        public_key=spec.public_key,
        data_device=data_device,
        finished=FINISHED,
    )
