"""Who can read the backups: the keys that platform.yml names, or one that is made here and never leaves."""

from pathlib import Path

from hangar import paths
from hangar.config import Config
from hangar.errors import HangarError
from hangar.ssh import keys


def private_key(config: Config) -> Path:
    """The key that reads them."""
    return config.backup.key or paths.backup_key(config.environment)


def ensure(config: Config) -> None:
    """Makes the key where one is wanted: an SSH key, which `age` understands and which takes no program to make. For
    verbs that may give it to the machine: one that the machine does not have opens nothing.
    """
    if config.backup.enabled and not config.backup.recipients:
        paths.ensure_state_dir(config.environment)
        keys.ensure_key(paths.backup_key(config.environment), f"backups of {config.server_name}")


def recipients(config: Config) -> list[str]:
    """Who reads the backups as far as this checkout knows: whom platform.yml names, else the key that was made here."""
    return list(config.backup.recipients) or offered(config)


def offered(config: Config) -> list[str]:
    """The public key that a machine without any encrypts to: the one that was made here, where platform.yml names
    none.
    """
    if config.backup.recipients:
        return []
    public = keys.public_path(paths.backup_key(config.environment))
    return [public.read_text(encoding="utf-8").strip()] if public.is_file() else []


def require(config: Config) -> Path:
    """The private key's file, which is there.

    Raises:
        HangarError: it is not.
    """
    path = private_key(config)
    if not path.is_file():
        raise HangarError(
            "There is no key here that reads the backups.",
            f"* Looked for: {paths.shown(path)}",
            "Put it there, or name its file in platform.yml: backup.key. Whoever ran the first `up` has it.",
        )
    return path
