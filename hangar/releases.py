"""DAGs on their way to the machine: packed here, released there by `airflow-release`, which checks them first."""

import base64
import getpass
import hashlib
import io
import json
import shutil
import socket
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hangar import paths, process
from hangar.errors import HangarError
from hangar.ssh import call

LEFT_OUT = ("__pycache__", ".git", ".venv")
TIMEOUT = 1200.0
"""Seconds for one call; the check on the machine alone may take half of it."""

RUFF_RULES = "E9,F63,F7,F82"
"""What cannot run: syntax errors, comparisons that mean something else, misplaced statements, undefined names."""


@dataclass(frozen=True)
class Release:
    """One release, as the machine keeps it. `left` means that somebody went back from it."""

    id: str
    time: float
    by: str
    revision: str
    dags: tuple[str, ...]
    current: bool = False
    left: bool = False


@dataclass(frozen=True)
class Origin:
    """Where DAGs come from: the git revision, and whether there are changes that are in no commit."""

    revision: str
    has_changes: bool


def folder() -> Path:
    """The DAGs of this repository.

    Raises:
        HangarError: there are none.
    """
    found = paths.REPO / "pipelines" / "dags"
    if not any(found.rglob("*.py")):
        raise HangarError(
            f"{paths.shown(found)} holds no DAG.", resolution="Put one there: docs/dags.md shows how."
        )
    return found


def origin(place: Path) -> Origin:
    """What this repository's git says of the folder; a copy without git has no revision. Git is not asked in the folder
    itself: where DAGs bring files that pass for a repository, it would run what their settings name.
    """
    if shutil.which("git") is None:
        return Origin("", False)
    git = ["git", "-C", str(paths.REPO)]
    head = process.run([*git, "rev-parse", "--short=12", "HEAD"], check=False)
    if head.returncode != 0:
        return Origin("", False)
    changes = process.run([*git, "status", "--porcelain", "--", str(place)], check=False)
    return Origin(head.stdout.strip(), bool(changes.stdout.strip()))


def lint(place: Path) -> None:
    """Looks for what cannot run, before anything leaves this computer.

    Raises:
        HangarError: with every finding; or ruff, which belongs to Hangar's environment, is not in it.
    """
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        raise HangarError(
            "The DAGs were not released: ruff, which lints them, is not in Hangar's environment.",
            f"There is no {ruff}. What is released is as it was.",
            "Complete it (uv pip install --require-hashes -r requirements.lock) or remove it, and deploy again.",
        )
    argv = [
        str(ruff),
        "check",
        "--isolated",
        "--no-cache",
        "--quiet",
        "--output-format=concise",
        f"--select={RUFF_RULES}",
    ]
    done = process.run([*argv, "."], cwd=place, check=False)
    if done.returncode != 0:
        raise refused("ruff has found problems", done.stdout.strip() or done.stderr.strip())


def pack(place: Path) -> bytes:
    """The folder as a tar archive, the same for the same files.

    Raises:
        HangarError: it holds something else than files and folders: a link would mean another thing on the machine.
    """
    files = [
        path
        for path in sorted(place.rglob("*"))
        if not any(part in LEFT_OUT for part in path.relative_to(place).parts)
    ]
    strange = [
        str(path.relative_to(place))
        for path in files
        if path.is_symlink() or not (path.is_file() or path.is_dir())
    ]
    if strange:
        raise refused("only files and folders can be released, no links", "\n".join(strange))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in files:
            member = tar.gettarinfo(path, arcname=str(path.relative_to(place)))
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = 0
            if member.isfile():
                with path.open("rb") as content:
                    tar.addfile(member, content)
            elif member.isdir():
                tar.addfile(member)
    return packed.getvalue()


def deploy(environment: str, archive: bytes, revision: str) -> Release:
    """Has the machine check the DAGs and release them.

    Raises:
        HangarError: they have problems; what is released is as it was.
        MachineUnreachable: the machine does not answer.
    """
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    words = ["deploy", "--by", who, "--revision", revision, "--sha256", hashlib.sha256(archive).hexdigest()]
    answer = _ask(environment, words, base64.b64encode(archive).decode())
    return _release(answer, current=True)


def rollback(environment: str, to: str = "") -> tuple[str, str]:
    """Goes back to the release before, or to the one named; returns from which to which."""
    answer = _ask(environment, ["rollback", *(["--to", to] if to else [])])
    return str(answer["from"]), str(answer["to"])


def kept(environment: str) -> tuple[Release, ...]:
    """The releases that the machine keeps, newest first."""
    return tuple(_release(one, current=one["current"]) for one in _ask(environment, ["list"])["releases"])


def refused(what: str, details: str) -> HangarError:
    return HangarError(
        f"The DAGs were not released: {what}.",
        details,
        "What is released is as it was. Mend them and deploy again.",
    )


def _release(one: dict[str, Any], *, current: bool) -> Release:
    return Release(
        one["id"], one["time"], one["by"], one["revision"], tuple(one["dags"]), current, one["left"]
    )


def _ask(environment: str, words: list[str], input: str = "") -> dict[str, Any]:
    done = call.ask(environment, ["airflow-release", *words], seconds=TIMEOUT, input=input)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise HangarError(
            f"hangar-{environment} cannot release DAGs.", done.stderr.strip(),
            f"Have it mended: ./provision.py up {environment}",
        ) from None  # fmt: skip
    if "error" in answer:
        problems = [f"{file}: {what}" if file else what for file, what in answer["problems"]]
        if words[0] == "deploy":
            raise refused(answer["error"], "\n".join(problems))
        raise HangarError(
            f"Nothing was changed: {answer['error']}.",
            resolution=f"See which there are: ./provision.py dags list {environment}",
        )
    return dict(answer)
