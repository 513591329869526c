"""What may name an environment: a folder under inventory/, and a part of the machine's host name."""

import re

from hangar.errors import ConfigError, Problem

NAME = r"[a-z][a-z0-9-]{0,29}"

TAKEN = ("cache",)
"""What .hangar/ holds beside the environments' folders."""


def require_name(env: str) -> None:
    """Raises ConfigError unless `env` can name a folder and a host."""
    if not re.fullmatch(NAME, env) or env in TAKEN:
        right = "a lower-case name such as sandbox (letters, digits and -, at most 30) would be right"
        raise ConfigError(
            "The command line", [Problem("ENV", f'"{env}" cannot name an environment; {right}')]
        )
