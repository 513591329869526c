"""What may name an environment: a folder under inventory/, and a part of the machine's host name."""

import difflib
import re

from hangar import paths
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


def missing(env: str) -> ConfigError:
    """The error for an environment that nobody has written. Most often its name was misspelt: to write one of that name
    would be the wrong cure.
    """
    there = sorted(path.parent.name for path in paths.env_dir("").glob("*/platform.yml"))
    meant = difflib.get_close_matches(env, there, n=1, cutoff=0.5)
    write = f"rite it: ./provision.py init {env}"
    cure = f"Did you mean {meant[0]}? If not, w{write}" if meant else f"W{write}"
    known = f"\nThere are: {', '.join(there)}" if there else ""
    return ConfigError(
        paths.shown(paths.platform_file(env)), [Problem("", "there is no such file")], f"{cure}{known}"
    )
