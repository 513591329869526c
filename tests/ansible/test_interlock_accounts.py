"""The interlock's program and accounts: commands without a file, and keys that were taken away."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import hangar_files as files
from ansible.module_utils import hangar_journal as journals

from tests.ansible.guarded import changed as changed
from tests.ansible.guarded import interlock as interlock


def test_commands_that_change_accounts_are_guarded_without_a_file(
    interlock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timer runs before the first command; a journal that is open goes on, with what it knew first."""
    found = {"shell": "/bin/bash", "groups": ["hangar-admins"], "locked": False, "expires": ""}
    monkeypatch.setattr(journals, "KEYS", f"{tmp_path}/keys/")
    monkeypatch.setattr(journals.reach, "account", lambda name: dict(found) if name == "hangar" else None)
    monkeypatch.setattr(
        journals.subprocess,
        "run",
        lambda argv, **_: type("Done", (), {"returncode": 0, "stdout": "", "stderr": ""}),
    )
    argv = ["guard", "people", "--after", "30", "--account=hangar", "--account=nobody-here"]
    assert interlock.main(argv) == 0
    found["groups"] = []
    assert interlock.main(argv) == 0
    journal = journals.load("people")
    assert journal is not None
    assert (journal.state, list(journal.accounts), journal.before) == ("open", ["hangar"], {})
    assert journal.accounts["hangar"]["groups"] == ["hangar-admins"]
    assert interlock.main(["keep", "people"]) == 0
    assert interlock.main(argv) == 0
    again = journals.load("people")
    assert again is not None
    assert again.accounts["hangar"]["groups"] == []


OPS, ADA, BEN = (f"ssh-ed25519 AAAA{name} {name}\n" for name in ("ops", "ada", "ben"))


@pytest.mark.parametrize(
    ("before", "changed_to", "brought_back"),
    [
        (OPS + ADA, OPS, OPS),
        (OPS + ADA, OPS + BEN, OPS),
        (f'expiry-time="20270101Z" {OPS}' + ADA, OPS, f'expiry-time="20270101Z" {OPS}'),
        (OPS, BEN, OPS),
        (OPS + ADA, "rubbish\n", OPS + ADA),
        # Who was taken away had the key of somebody who stays in a comment.
        (OPS + f"ssh-ed25519 AAAAmal mal {OPS}", OPS, OPS),
    ],
    ids=["a revocation", "a revocation and somebody new", "another day", "the last key", "no key at all",
         "a key in a comment"],
)  # fmt: skip
def test_a_revocation_is_never_rolled_back_but_for_the_last_key(
    interlock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    before: str, changed_to: str, brought_back: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(journals, "KEYS", f"{tmp_path}/keys/")
    path = tmp_path / "keys" / "hangar"
    path.parent.mkdir()
    path.write_text(before)
    journal = journals.Journal("trial", state="open", token="t1")
    journal.before[str(path)] = files.look(str(path))
    with journals.locked("trial"):
        journals.save(journal)
    path.write_text(changed_to)
    assert interlock.main(["undo", "trial"]) == 0
    assert path.read_text() == brought_back
