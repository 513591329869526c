"""Who logs in from this computer: the operator, unless somebody of the team said their own name and key here."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath, PureWindowsPath

from hangar import paths
from hangar.errors import HangarError
from hangar.ssh.files import write_atomically

ACCOUNT = r"[a-z_][a-z0-9_-]{0,31}"
"""What may name an account on Debian."""

JUMP = r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9._-]*(?::\d{1,5})?"
"""A host on the way, as ssh's ProxyJump takes it."""


KEY_TEXT = r"[A-Za-z0-9+/=\s]{64,}"
"""What looks like a piece of a private key, whose lines have 64 letters and more."""


@dataclass(frozen=True)
class Login:
    """An account of the machine, the private key that opens it, and the host to pass on the way, if any."""

    user: str
    key: str
    jump: str = ""


def recorded(env: str) -> Login | None:
    """What was said here before; None stands for the operator.

    Raises:
        HangarError: it cannot be read (after a power cut, say). Nobody becomes the operator by that.
    """
    path = _record(env)
    if not path.exists():
        return None
    try:
        return Login(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as why:
        raise HangarError(
            "What was remembered of your login cannot be read.",
            f"* {paths.shown(path)}: {why}",
            f"Say it again: ./provision.py ssh-config {env} --user NAME --key ~/.ssh/id_ed25519\n"
            f"The operator takes it away: rm {paths.shown(path)}",
        ) from None


def record(env: str, login: Login) -> None:
    paths.ensure_state_dir(env)
    write_atomically(_record(env), json.dumps(asdict(login), indent=2) + "\n")


def forget(env: str) -> None:
    """From now on it is the operator again."""
    _record(env).unlink(missing_ok=True)


def said(env: str, user: str, key: str, jump: str) -> Login | None:
    """What the command line said, with what was recorded before for what it left out.

    Raises:
        HangarError: it is no account, or there is no such key.
    """
    try:
        before = recorded(env)
    except HangarError:
        if not (user and key):
            raise
        before = None  # it is said anew
    if not (user or key or jump):
        return before
    login = Login(
        user or (before.user if before else ""),
        str(require_key(key)) if key else (before.key if before else ""),
        jump or (before.jump if before else ""),
    )
    require_complete(login, env)
    return login


def require_complete(login: Login, env: str) -> None:
    """Raises HangarError unless name, key and host on the way can stand in an ssh configuration."""
    if not login.user or not login.key:
        raise HangarError(
            "A name needs its key, and a key its name.",
            "Both are yours: the name that platform.yml gives you, and the private half of the key beside it.",
            f"./provision.py ssh-config {env} --user NAME --key ~/.ssh/id_ed25519",
        )
    if not re.fullmatch(ACCOUNT, login.user):
        raise HangarError(f'"{login.user}" cannot name an account on the machine.')
    if login.jump and not re.fullmatch(JUMP, login.jump):
        raise HangarError(
            f'"{login.jump}" is no host on the way.', resolution="Such as: --jump me@gate.example"
        )


def require_key(given: str) -> Path:
    """The whole path of a private key.

    Raises:
        HangarError: there is none, or it is a public one. A key's text, given by mistake, is not repeated.
    """
    try:
        path = Path(given).expanduser().absolute()
        is_there = path.is_file()
    except (OSError, RuntimeError, ValueError):
        raise _no_path() from None  # such as a text that is too long for a name
    if not is_there:
        if _is_key_text(given):
            raise _no_path()
        raise HangarError(f"There is no key {path}.", resolution=f"Make one: ssh-keygen -t ed25519 -f {path}")
    if path.suffix == ".pub":
        raise _public_half(path)
    if any(char in str(path) for char in '"\r\n'):
        raise HangarError(f"ssh cannot be told of a path with quotes or line breaks: {str(path)!r}")
    return path


def require_windows_key(given: str) -> None:
    """Returns for what can be a private key's path on Windows; whether one lies there is not seen from here.

    Raises:
        HangarError: it is a key's text, which is not repeated, or a public key's path.
    """
    if _is_key_text(given):
        raise _no_path()
    if given.lower().endswith(".pub"):
        raise _public_half(PureWindowsPath(given))


def _is_key_text(given: str) -> bool:
    from hangar.config.public_keys import PRIVATE  # only now: beside it lies all that reads platform.yml

    return bool(PRIVATE.search(given) or re.fullmatch(KEY_TEXT, given))


def _public_half(path: PurePath) -> HangarError:
    return HangarError(
        f"{path} is the public half.", resolution=f"Name the private one: --key {path.with_suffix('')}"
    )


def _no_path() -> HangarError:
    return HangarError(
        "--key wants the path of a private key, and this is none.", "Nothing of it was stored.",
        "Such as: --key ~/.ssh/id_ed25519",
    )  # fmt: skip


def overrides(login: Login | None, given: Sequence[str]) -> list[str]:
    """Settings for whoever is not the operator: the operator's key need not be here, their own is."""
    mine = [f"access.private_key={json.dumps(login.key)}"] if login else []
    return [*given, *mine]


def _record(env: str) -> Path:
    return paths.state_dir(env) / "login.json"
