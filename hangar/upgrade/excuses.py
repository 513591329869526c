"""Which broken promises an upgrade is not to blame for: those that the machine had given, and did not keep."""

import ast
from pathlib import Path

from hangar import paths, revision
from hangar.verification import Promise


def is_excused(promise: Promise, made_from: str) -> bool:
    """Whether the machine was made from a revision that gave this very promise. What this checkout promises anew, or
    in other words, has to hold once it is upgraded. Where the revision is not known, nothing can be held against it.
    """
    contract = Path("roles") / promise.role / "tests" / f"test_{promise.role}.py"
    there = revision.content(made_from, str(contract))
    if there is None:
        return True
    here = (paths.REPO / contract).read_text(encoding="utf-8")
    return _text(there, promise.test) == _text(here, promise.test)


def _text(contract: str, test: str) -> str | None:
    """The function of a contract that is a test, as it is written; a parameter of a test's name does not count."""
    name = test.partition("[")[0]
    found = (
        one for one in ast.walk(ast.parse(contract)) if isinstance(one, ast.FunctionDef) and one.name == name
    )
    return next((ast.get_source_segment(contract, one) for one in found), None)
