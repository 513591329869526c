"""The revision of this repository, and how another one stands to it, as far as git knows."""

import shutil
from typing import Literal

from hangar import paths, process

CHANGED = "+"
"""Stands behind a revision beside which there are changes that are in no commit."""

MAKES = ("hangar", "playbooks", "roles", "services", "templates")
"""What a machine is made of. Settings, DAGs and documents are not: they come and go by themselves."""

Relation = Literal["same", "newer", "older", "apart", "unknown"]
"""What this checkout is beside another revision. `apart`: each has something that the other lacks."""


def here() -> str:
    """The newest commit of what machines are made of, such as `8f3d2a1b4c5e`, or `8f3d2a1b4c5e+`; "" where git knows
    none. Two checkouts that make the same machine have the same, whatever else is in them.
    """
    newest = _git("log", "-1", "--format=%H", "--", *MAKES)[:12]
    if not newest:
        return ""
    changes = _git("status", "--porcelain", "--", *MAKES)
    return f"{newest}{CHANGED if changes else ''}"


def relation(other: str) -> Relation:
    """How this checkout stands to `other`, a revision as `here` names it."""
    mine, theirs = here(), other
    if not mine or not theirs:
        return "unknown"
    if mine == theirs:
        return "same"
    mine, theirs = mine.removesuffix(CHANGED), theirs.removesuffix(CHANGED)
    if _git("cat-file", "-t", f"{theirs}^{{commit}}") != "commit":
        return "unknown"
    if mine == theirs or _git("merge-base", theirs, mine).startswith(theirs):
        return "newer"
    return "older" if _git("merge-base", theirs, mine).startswith(mine) else "apart"


def content(known: str, path: str) -> str | None:
    """A file as a revision has it, "" where that has none of the name; None where git does not know the revision."""
    commit = known.removesuffix(CHANGED)
    if not commit or _git("cat-file", "-t", f"{commit}^{{commit}}") != "commit":
        return None
    return _git("show", f"{commit}:{path}")


def _git(*words: str) -> str:
    """What git prints; "" where there is none, or it refuses."""
    if shutil.which("git") is None:
        return ""
    done = process.run(["git", "-C", str(paths.REPO), *words], check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
