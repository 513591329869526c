"""The start-up script: the same for every target, run as root at each boot before SSH."""

import shlex

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hangar.cloud.base import MachineSpec
from hangar.paths import REPO

MANAGED = "Written by Hangar; changes are lost."


def render(spec: MachineSpec) -> str:
    """The script that admits the administrator of `spec`."""
    environment = Environment(
        loader=FileSystemLoader(REPO / "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # shell, not HTML: every value goes through `quote`
    )
    environment.filters["quote"] = shlex.quote
    template = environment.get_template("startup.sh.j2")
    return template.render(managed=MANAGED, admin=spec.admin, public_key=spec.public_key)
