"""Makes Hangar's own Python environment from the lock, once, and hands over to it.

Standard library only: this runs before anything is installed; and at every start, so it imports little.
The environment is `.venv`; a record inside it says what it was made from and is written last, so that an
interrupted making is noticed and begun again. A `.venv` without a record is the user's own and is never
touched.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
VENV = REPO / ".venv"
RECORD = VENV / "hangar.json"
PLAIN, DEV = "requirements.lock", "requirements-dev.lock"


def enter(argv: Sequence[str]) -> None:
    """Returns when this interpreter has everything that Hangar needs; otherwise starts `argv` anew in one
    that has, making it first if need be."""
    inside = _inside()
    ready = _fits(_record(), PLAIN)
    if inside and ready:
        return
    if sys.prefix != sys.base_prefix and not _record_of(sys.prefix) and not missing():
        return  # a virtual environment of the user's own
    if not ready:
        _make_or_exit(PLAIN, complain=inside)
    sys.stdout.flush()
    python = str(VENV / "bin/python")
    os.execv(python, [python, *argv])


def _make_or_exit(lock: str, *, complain: bool = False) -> None:
    from hangar.installers import Failed

    try:
        if complain and not RECORD.exists():
            raise Failed(_own_but_incomplete())
        make(lock)
    except Failed as failure:
        say(f"error: {failure}")
        sys.exit(1)
    except OSError as error:
        say(f"error: Hangar cannot make its own Python environment: {_refused(error)}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; the same command begins anew.")
        sys.exit(130)


def _refused(error: OSError) -> str:
    """What the system refused, and the command that shows why."""
    place = shlex.quote(str(REPO))
    look = (
        f"See how full the disk is: df -h {place}"
        if error.errno == errno.ENOSPC
        else f"Hangar needs a clone that you may write to: ls -ld {place} {place}/.venv {place}/.hangar"
    )
    return f"{error.filename or VENV}: {error.strerror or error}\n{look}"


def make(lock: str) -> None:
    """Makes `.venv` hold what `lock` says, unless it does. Two calls at once: the second waits."""
    if _fits(_record(), lock) or _is_users_own():
        return
    with _alone():
        record = _record()
        if _fits(record, lock):
            return
        # A developer's environment stays one when only the plain lock asks.
        lock = DEV if DEV in record.get("locks", {}) else lock
        _make(lock)


def _make(lock: str) -> None:
    from hangar import installers

    began = time.monotonic()
    why = "again" if RECORD.exists() else "once"
    say(f"Hangar makes its own Python environment, {why}: .venv from {lock}")
    if VENV.is_symlink():
        VENV.unlink()  # what it points to is another clone's, or gone
    elif VENV.exists():
        shutil.rmtree(VENV)
    VENV.mkdir()
    _write_record({"state": "making"})
    installers.install(VENV, REPO / lock, base_python())
    locks = {name: _digest(name) for name in {PLAIN, lock}}
    _write_record({"state": "made", "python": _version(), "home": str(VENV), "locks": locks})
    say(f"  done in {time.monotonic() - began:.1f} s; later calls start at once")


def missing() -> list[str]:
    """Hangar's direct dependencies that this interpreter lacks, or has in another version than locked."""
    import tomllib

    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (REPO / PLAIN).read_text(encoding="utf-8"), re.M):
        locked.setdefault(name, set()).add(version)
    names = [re.split(r"[^\w.-]", wanted)[0] for wanted in project["dependencies"]]
    return [name for name in names if _installed(name) not in locked.get(name, set())]


def _installed(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def say(text: str) -> None:
    """On standard error: standard output may be read by a program."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def base_python() -> str:
    """The interpreter below any virtual environment."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _record() -> dict[str, Any]:
    return _record_of(VENV)


def _record_of(prefix: str | Path) -> dict[str, Any]:
    try:
        record = json.loads((Path(prefix) / RECORD.name).read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _fits(record: dict[str, Any], lock: str) -> bool:
    return (
        record.get("state") == "made"
        and record.get("home") == str(VENV)  # a moved clone breaks the scripts' first lines
        # Another Python may start us; but when the environment's own became another, its packages are lost to it.
        and (record.get("python") == _version() or not _inside())
        and all(record.get("locks", {}).get(name) == _digest(name) for name in {PLAIN, lock})
        and (VENV / "bin/python").exists()
    )


def _inside() -> bool:
    return Path(sys.prefix) == VENV


def _is_users_own() -> bool:
    return (VENV / "bin/python").exists() and not RECORD.exists()


def _own_but_incomplete() -> str:
    return (
        f"{VENV} was not made by Hangar and lacks {', '.join(missing())} as locked.\n"
        f"Complete it (uv pip install --require-hashes -r {PLAIN}) or remove it, and run the same command again."
    )


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _digest(name: str) -> str:
    return hashlib.sha256((REPO / name).read_bytes()).hexdigest()


def _write_record(record: dict[str, Any]) -> None:
    new = RECORD.with_suffix(".new")
    new.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    new.replace(RECORD)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    folder = REPO / ".hangar"
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "environment.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another call is making Hangar's environment; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # An installer that outlives us (we were killed) keeps the lock until it ends.
        os.set_inheritable(lock.fileno(), True)
        yield


def main() -> int:
    """`python3 -m hangar.bootstrap [--dev]`: makes the environment and starts nothing."""
    import argparse

    parser = argparse.ArgumentParser(prog="hangar.bootstrap", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="with the tools for working on Hangar")
    _make_or_exit(DEV if parser.parse_args().dev else PLAIN)
    if _is_users_own():
        say(f"{VENV} was not made by Hangar; it is used as it is.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
