"""Where ssh and editors find a machine: one file in ~/.ssh/config.d, and one Include line in ~/.ssh/config."""

import contextlib
import difflib
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from hangar import process
from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.ssh import alias, client_config, known_hosts, login, shared, tunnel
from hangar.ssh.files import read, write_atomically
from hangar.ssh.login import Login

INCLUDE = "Include ~/.ssh/config.d/hangar-*"
LEFT = f"""\
Left as it is. ssh finds the machine once you put this line at its top yourself (below a Host line it would hold for
that host only): {INCLUDE}"""
"""What somebody hears who did not want the change."""

MARK = "\ufeff"
"""What some editors on Windows put before UTF-8. Windows' ssh passes over it at the very beginning of a file alone."""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How a file begins that PowerShell's > wrote."""

OTHERS_WRITE = 0o002
"""The group may on Debian, where it is the user's own."""


def folder() -> Path:
    return Path.home() / ".ssh"


def include_file(env: str, at: Path | None = None) -> Path:
    return (at or folder()) / "config.d" / f"hangar-{env}"


def write(
    server: Server, private_key: Path, forwards: Sequence[tunnel.Forward], login: Login | None = None
) -> bool:
    """Writes the machine's include file; returns whether it changed. A shared connection that was opened as it was
    before is ended: it would go on as if nothing had changed.

    Raises:
        HangarError: ~/.ssh cannot be written, or a file of the user's own has this name.
    """
    path = include_file(server.environment)
    _require_ours(path)
    with _told(path):
        folder().mkdir(mode=0o700, exist_ok=True)
        changed = write_atomically(path, alias.text(server, private_key, forwards, login))
    if changed:
        shared.close(server.environment)
    return changed


def write_windows(
    at: Path, server: Server, forwards: Sequence[tunnel.Forward], login: Login, relay: str = ""
) -> bool:
    """The same into the .ssh folder of a Windows account, as it is seen from here; its pinned host keys go along."""
    path, known = include_file(server.environment, at), at / alias.known_hosts_name(server.environment)
    text = alias.windows_text(server, forwards, login, relay)
    _require_ours(path)
    with _told(path):
        changed = write_atomically(path, text)
        return write_atomically(known, known_hosts.render(server)) or changed


def _require_ours(path: Path) -> None:
    """Raises HangarError where somebody wrote a file of this name by hand: its settings would be gone."""
    if path.exists() and not _is_ours(path):
        raise HangarError(
            f"{path} is none that Hangar wrote; it was left alone.",
            "ssh reads its settings for this machine from that file.",
            f"If it is for nothing any more, remove it; else keep it under another name, and run this again: "
            f"mv {path} {path.with_name(f'my-{path.name}')}",
        )


def _is_ours(path: Path) -> bool:
    """In an empty one there is nothing of anybody's.

    Raises:
        HangarError: it cannot be read.
    """
    with _told(path):
        return path.is_file() and (
            not (text := read(path)) or text.startswith((alias.HEADER, known_hosts.HEADER))
        )


def remove(env: str, at: Path | None = None) -> list[str]:
    """Takes back what `ssh-config` wrote for an environment; the Include line goes with the last of them."""
    place = at or folder()
    removed = []
    if at is None:
        shared.close(env)
        if not client_config.is_operators(env):
            # It would try again for ever, by settings that are gone. The operator's stay, and so does their tunnel.
            tunnel.stop(env)
        login.forget(env)
        client_config.forget_login(env)
    for path in (include_file(env, at), place / alias.known_hosts_name(env)):
        if _is_ours(path):
            with _told(path):
                path.unlink()
            removed.append(str(path))
    config = place / "config"
    if config.exists() and not any((place / "config.d").glob("hangar-*")):
        before = read(config)
        after = without_include(before)
        if after != before:
            accept(after, at)
            removed.append(f"the Include line in {config}")
    _remove_if_empty(config, place / "config.d")
    return removed


def _remove_if_empty(config: Path, parts: Path) -> None:
    """What we made and nobody else has used."""
    if config.is_file() and not config.is_symlink() and config.stat().st_size == 0:
        config.unlink()
    with contextlib.suppress(OSError):  # others keep files there, or it never was
        parts.rmdir()


def is_included(at: Path | None = None) -> bool:
    """Whether ~/.ssh/config reads our files whatever host is asked for."""
    config = (at or folder()) / "config"
    return config.exists() and _reads_ours(read(config))


def _reads_ours(text: str) -> bool:
    """A line below a Host or Match line holds for what that one names; these are for everything."""
    is_for_all = True
    for line in _after_mark(text)[1].splitlines():
        words = line.replace("=", " ", 1).lower().split()
        if words[:1] in (["host"], ["match"]):
            is_for_all = words in (["host", "*"], ["match", "all"])
        elif is_for_all and words[:1] == ["include"] and any(map(_finds_ours, _arguments(line))):
            return True
    return False


def _arguments(line: str) -> list[str]:
    """What stands behind the keyword; nothing where ssh could not read it either."""
    try:
        return shlex.split(line.replace("=", " ", 1), comments=True)[1:]
    except ValueError:
        return []


def _finds_ours(pattern: str) -> bool:
    """Whether an Include finds our files: ours, or a line of the user's own for the whole folder. ssh looks for what
    has no root below ~/.ssh, and a * stays within its folder.
    """
    for place in ("~/.ssh/", f"{folder()}/"):
        pattern = pattern.removeprefix(place)
    parts = pattern.split("/")
    return len(parts) == 2 and parts[0] == "config.d" and fnmatchcase("hangar-of-any-name", parts[1])


def proposal(at: Path | None = None) -> tuple[str, str]:
    """~/.ssh/config with the Include line, and the difference to what it is now.

    Raises:
        HangarError: it is UTF-16, in which a line of ours would be none.
    """
    config = (at or folder()) / "config"
    before = read(config) if config.exists() else ""
    if before and config.read_bytes()[:2] in UTF_16:
        raise HangarError(
            f"{config} is UTF-16, which ssh does not read; it was left alone.",
            resolution="Save it as UTF-8 (an editor calls it an encoding), then run this again.",
        )
    after = with_include(before)
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), str(config), f"{config} (new)", lineterm="", n=1
    )
    return after, "\n".join(lines)


def require_readable() -> None:
    """Raises HangarError when ssh itself refuses ~/.ssh/config as it is now: then no line of ours would help."""
    config = folder() / "config"
    if not config.exists():
        return
    if not config.is_file():
        raise HangarError(f"{config} is no file; it was left alone.", resolution=f"See: ls -ld {config}")
    if config.stat().st_mode & OTHERS_WRITE:  # which ssh judges without -F alone
        raise HangarError(
            f"ssh refuses {config}: others may write it. It was left alone.",
            resolution=f"Close it, then run this again: chmod go-w {config}",
        )
    done = process.run(["ssh", "-G", "-F", str(config), "hangar"], check=False)
    if done.returncode != 0:
        raise HangarError(
            f"ssh cannot read {config} as it is; it was left alone.",
            done.stderr.strip(),
            f"Mend that line, then run this again. See: ssh -G -F {config} hangar",
        )


def accept(after: str, at: Path | None = None) -> None:
    """Writes ~/.ssh/config; a link to a file kept elsewhere stays a link.

    Raises:
        HangarError: it is not ours to write, or ssh would not read what came out.
    """
    config = (at or folder()) / "config"
    mode = 0o600
    if config.exists():
        mode = config.stat().st_mode & 0o777
        if not mode & 0o200:
            raise _left_alone(config, "it is read-only", _by_hand(after))
    if at is None and after:
        _require_valid(config, after)
    with _told(config, _by_hand(after)):
        config.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(config.resolve(), after, mode)


def _require_valid(config: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)
        file.flush()
        done = process.run(["ssh", "-G", "-F", file.name, "hangar"], check=False)
    if done.returncode != 0:
        raise _left_alone(config, done.stderr.strip().replace(file.name, str(config)), _by_hand(text))


@contextlib.contextmanager
def _told(path: Path, cure: str = "") -> Iterator[None]:
    """What the system refuses, in words."""
    try:
        yield
    except OSError as error:
        raise _left_alone(
            path, error.strerror or str(error), cure or f"See who may write there: ls -ld {path.parent}"
        ) from error


def _left_alone(path: Path, why: str, cure: str) -> HangarError:
    return HangarError(f"{path} was not written.", why, cure)


def _by_hand(after: str) -> str:
    if INCLUDE in map(str.strip, after.splitlines()):
        return f"Put this line at its top yourself: {INCLUDE}"
    return f"Take this line out yourself: {INCLUDE}"


def with_include(before: str) -> str:
    """The Include line first: after a Host line it would hold for that host only. It ends as the file's lines do."""
    if _reads_ours(before):
        return before
    mark, rest = _after_mark(before)
    end = _line_end(rest)
    return f"{mark}{INCLUDE}{end}{end}{rest}" if rest else f"{mark}{INCLUDE}\n"


def without_include(before: str) -> str:
    mark, rest = _after_mark(before)
    end = _line_end(rest)
    if rest.startswith(f"{INCLUDE}{end}{end}"):
        return mark + rest.removeprefix(f"{INCLUDE}{end}{end}")
    return mark + "".join(line for line in rest.splitlines(keepends=True) if line.strip() != INCLUDE)


def _after_mark(text: str) -> tuple[str, str]:
    rest = text.removeprefix(MARK)
    return text[: len(text) - len(rest)], rest


def _line_end(text: str) -> str:
    """As the first line ends."""
    first, newline, _ = text.partition("\n")
    return "\r\n" if newline and first.endswith("\r") else "\n"
