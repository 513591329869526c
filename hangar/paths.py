"""Where things are: the repository, an environment's folder, and what Hangar keeps about it."""

from pathlib import Path

REPO = Path(__file__).resolve().parents[1]

UNTELLABLE = frozenset('"\r\n\0')
"""What no quotes help against in ssh's settings: the path ends there, and what follows is a setting of its own."""


def shown(path: Path) -> str:
    """A path as people read it: from the repository on, where it lies inside."""
    return str(path.relative_to(REPO)) if path.is_relative_to(REPO) else str(path)


def env_dir(env: str) -> Path:
    """The folder that a user edits; kept in git."""
    return REPO / "inventory" / env


def platform_file(env: str) -> Path:
    return env_dir(env) / "platform.yml"


def hosts_file(env: str) -> Path:
    """The generated inventory; git-ignored."""
    return env_dir(env) / "hosts.yml"


def state_dir(env: str) -> Path:
    """What Hangar keeps about an environment on this controller; git-ignored, the owner's only.

    Does not create it: see `ensure_state_dir`.
    """
    return REPO / ".hangar" / env


def ensure_state_dir(env: str) -> Path:
    """Makes the state folder if need be, closed to others."""
    folder = state_dir(env)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def known_hosts(env: str) -> Path:
    return state_dir(env) / "known_hosts"


def default_private_key(env: str) -> Path:
    """The key that Hangar makes when `access.private_key` names none (public half beside it: .pub)."""
    return state_dir(env) / "id_ed25519"


def backup_key(env: str) -> Path:
    """The key that reads the environment's backups (public half beside it: .pub). It outlives the machine."""
    return state_dir(env) / "backup-key"


def backup_signers(env: str) -> Path:
    """The public keys by which the environment's machines have signed their backups. They outlive the machine."""
    return state_dir(env) / "backup-signers"


def backup_newest(env: str) -> Path:
    """The newest backup that its machine was seen to have. It outlives the machine."""
    return state_dir(env) / "backup-newest"


def backups_dir(env: str) -> Path:
    """Where encrypted backups are kept unless `backup.folder` says otherwise. They outlive the machine."""
    return state_dir(env) / "backups"


def ssh_config(env: str) -> Path:
    return state_dir(env) / "ssh_config"


def lock_file(env: str) -> Path:
    return state_dir(env) / "lock"


def report_file(env: str, kind: str) -> Path:
    """`kind` is json or html."""
    return state_dir(env) / f"report.{kind}"


def log_dir(env: str) -> Path:
    """Made on demand, closed to others like the state folder."""
    folder = ensure_state_dir(env) / "log"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
