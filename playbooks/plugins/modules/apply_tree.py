#!/usr/bin/python
"""The machine's half of `apply_tree`: compare, validate, journal, write atomically."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apply_tree
short_description: Apply a whole tree of files in one step
description:
  - Renders a role's C(templates) on the controller, sends them once, and writes what differs.
  - What stood there before goes into a journal; with O(undo) a timer on the machine brings it back unless it is kept.
options:
  name: {description: "Name of the journal; the role's by default.", type: str}
  source: {description: "Folder whose layout is the machine's; the role's C(templates) by default.", type: path}
  files:
    description:
      - Exceptions by path or glob, with the keys owner, group, mode, validate (a command with %s) and diff.
      - A plain path with C(content), or with C(template) and C(vars), adds a file that the tree does not hold.
    type: raw
  directories: {description: "Directories by path, with owner, group and mode.", type: raw}
  links: {description: "Symbolic links by path, with their targets.", type: dict}
  absent: {description: "Paths that must not be there.", type: list, elements: path}
  folders:
    description:
      - Folders of the controller by their path on the machine, copied verbatim. Nothing else may stand in them.
    type: dict
  exclusive: {description: "Directories in which only the files brought here may stand.", type: list, elements: path}
  skip: {description: "Paths or globs of the tree that are not wanted.", type: list, elements: str}
  unless:
    description: Paths that others' work leaves, each with the sentence that refuses all of it while one is there.
    type: dict
  undo:
    description:
      - "Interlock: C(after) seconds, the C(command) that makes the old state count."
      - C(paths) limits it to files that fit; C(network) adds the kernel's network parameters, C(accounts) what lets
        the operators' accounts in.
    type: dict
  verify: {description: "A command that must succeed once all is written, else all is brought back.", type: str}
  then:
    description:
      - Commands by glob, run in their order once all is written when a file that fits has changed.
      - A command that did not come to its end (the controller died, say) runs at the next call.
    type: dict
  hidden: {description: "Set by the action for tasks with no_log: errors carry no output.", type: bool, default: false}
  journal: {description: "Where journals are kept.", type: path}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: [Hangar]
"""

import fnmatch
import os
import shlex
import shutil
import tempfile
import time
from dataclasses import replace
from typing import Any

from ansible.module_utils import hangar_written as written
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.hangar_files import FileProblem, Staged, State, look, remove, set_directory, stage
from ansible.module_utils.hangar_journal import (
    Journal,
    JournalProblem,
    arm,
    load,
    locked,
    note,
    save,
    undo,
)
from ansible.module_utils.hangar_tree import Entry, Refused, Tree

SPEC = {
    "name": {"type": "str", "required": True},
    "entries": {"type": "list", "elements": "dict", "required": True},
    "exclusive": {"type": "list", "elements": "str", "default": []},
    "unless": {"type": "dict", "default": {}},
    "undo": {"type": "dict"},
    "verify": {"type": "str"},
    "then": {"type": "dict", "default": {}},
    "journal": {"type": "str", "required": True},
    "hidden": {"type": "bool", "default": False},
}

HELD = 600.0
"""Seconds that the commands of one step may take together while an undo waits for its journal. The slowest are a new
boot menu, minutes on an emulated machine, and restarts, of each of which systemd makes an end after 90 s.
"""

SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def spoken(module: AnsibleModule, text: str) -> str:
    """Return what a command said; Ansible shows an error's message even where no_log hides the result."""
    return "(output not shown: no_log)" if module.params["hidden"] else text.strip()


def bounded(module: AnsibleModule, argv: list[str], until: float) -> tuple[int, str, str]:
    """Run a command and end it, with what it started, when the time comes; an undo is not kept waiting by one that
    hangs.
    """
    begun = time.monotonic()
    seconds = max(0.1, round(until - begun, 1))
    code, out, err = module.run_command(["timeout", "--kill-after=10", f"{seconds:g}", *argv])
    if code in (124, 137) and time.monotonic() - begun >= seconds:  # told to end, or killed
        return code, out, f"not done {HELD:g} s after the step began\n{err}"
    return code, out, err


def validate(module: AnsibleModule, entry: Entry, path: str, until: float) -> None:
    """Let the entry's own command judge the file that stands at `path`; raises Refused with what it said."""
    argv = shlex.split(entry["validate"].replace("%s", shlex.quote(path)))
    if not shutil.which(argv[0], path=SYSTEM_PATH):
        if module.check_mode:
            return  # an earlier role would have installed it
        raise Refused(f"{entry['path']}: {argv[0]} is not there to validate it")
    code, out, err = bounded(module, argv, until)
    if code:
        said = spoken(module, err + out).replace(path, entry["path"])
        raise Refused(f"{entry['path']}: refused by {entry['validate']!r} (exit {code}): {said}")


def validate_only(module: AnsibleModule, tree: Tree) -> None:
    """Check mode: judge the files in a temporary folder, under the names that they will have."""
    judged = [entry for entry in tree.changed if entry.get("validate")]
    until = time.monotonic() + HELD
    with tempfile.TemporaryDirectory(prefix="hangar-") as folder:
        for number, entry in enumerate(judged):
            path = os.path.join(folder, str(number), os.path.basename(entry["path"]))
            content = tree.wanted[entry["path"]].content
            stage(path, State("file", os.geteuid(), os.getegid(), 0o600, content)).commit()
            validate(module, entry, path, until)


def guarded(params: dict[str, Any], paths: list[str]) -> list[str]:
    """Return the paths that the interlock brings back."""
    patterns = (params["undo"] or {}).get("paths") or (["*"] if params["undo"] else [])
    return [path for path in paths if any(fnmatch.fnmatch(path, pattern) for pattern in patterns)]


class Change:
    """Writes a tree: stage and validate all, journal, arm, and only then put in place."""

    def __init__(self, module: AnsibleModule, tree: Tree, earlier: Journal | None, *, armed: bool) -> None:
        self.module, self.tree, self.root = module, tree, module.params["journal"]
        self.undo, self.then = module.params["undo"] if armed else None, module.params["then"]
        self.staged: list[Staged] = []
        self.until = time.monotonic() + HELD
        earlier = earlier or Journal(module.params["name"])
        unproven = earlier.state == "open" and self.undo
        self.journal = earlier if unproven else Journal(earlier.name, token=earlier.token)
        self.journal.unsettled = tree.paths + [path for path in earlier.unsettled if path not in tree.paths]
        self.journal.command = self.undo["command"] if self.undo else ""
        self.journal.changed_at = time.time()

    def run(self) -> None:
        """Do it; raises Refused, and then nothing has changed unless the message says so."""
        try:
            for entry in self.tree.changed:
                if entry["kind"] in ("file", "link"):
                    self._stage(entry)
            self._write_journal()
        except Exception:
            for staged in reversed(self.staged):
                staged.discard()
            raise
        self._write()
        self._settle()

    def _stage(self, entry: Entry) -> None:
        self.staged.append(stage(entry["path"], self.tree.wanted[entry["path"]]))
        if entry.get("validate"):
            validate(self.module, entry, self.staged[-1].temporary_path, self.until)

    def _write_journal(self) -> None:
        for path in guarded(self.module.params, self.tree.paths) if self.undo else self.tree.paths:
            # The first state counts while the change is unproven, however often it is applied again.
            self.journal.before.setdefault(path, self.tree.before[path])
        self.journal.made += [folder for staged in self.staged for folder in staged.made]
        if self.undo:
            accounts = self.undo.get("accounts") or ()
            note(self.journal, network=bool(self.undo.get("network")), accounts=accounts)
            arm(self.journal, int(self.undo["after"]), self.root)
        else:
            save(self.journal, self.root)

    def _write(self) -> None:
        ready = {staged.path: staged for staged in self.staged}
        made = {folder: look(folder) for staged in self.staged for folder in staged.made}
        written.note(made | {path: self.tree.wanted[path] for path in self.tree.paths})
        for path in self.tree.paths:
            wanted = self.tree.wanted[path]
            if path in ready:
                ready[path].commit()
            elif wanted.kind == "directory":
                set_directory(path, wanted.uid, wanted.gid, wanted.mode)
            else:
                remove(path)

    def _settle(self) -> None:
        """Run what must follow; the journal remembers what has not come to its end."""
        if self.module.params["verify"]:
            self._command(self.module.params["verify"], bring_back=True)
        follows = [
            command
            for pattern, command in self.then.items()
            if fnmatch.filter(self.journal.unsettled, pattern)
        ]
        for command in follows:
            self._command(command, bring_back=bool(self.undo))
        self.journal.unsettled = []
        if self.undo and follows:
            # The proof has all its time, however long these took.
            arm(self.journal, int(self.undo["after"]), self.root)
        if not self.undo:
            self._forget_secrets()
        save(self.journal, self.root)

    def _forget_secrets(self) -> None:
        """What will never be brought back need not lie about a second time."""
        for entry in self.tree.changed:
            if not entry["diff"]:
                self.journal.before[entry["path"]] = replace(self.tree.before[entry["path"]], content=b"")

    def _command(self, command: str, *, bring_back: bool) -> None:
        argv = ["/bin/sh", "-c", command]
        # Without a way back nobody waits, and what follows may take its time: a database that mends itself, say.
        code, out, err = (
            bounded(self.module, argv, self.until) if bring_back else self.module.run_command(argv)
        )
        if not code:
            return
        after = "; the files are written, the command runs again at the next call"
        if bring_back:
            problems = undo(self.journal, self.root)
            what = "what could lock out" if (self.undo or {}).get("paths") else "all"
            after = f"; {what} was brought back" + (f", but: {'; '.join(problems)}" if problems else "")
        raise Refused(f"{command!r} failed (exit {code}): {spoken(self.module, err + out)}{after}")


def apply(module: AnsibleModule) -> dict[str, Any]:
    """Compare and, unless in check mode, write; return the module's result."""
    params = module.params
    for path, sentence in params["unless"].items():
        if os.path.lexists(path):
            raise Refused(sentence)
    tree = Tree(params["entries"], params["exclusive"], module.check_mode)
    earlier = load(params["name"], params["journal"]) if os.access(params["journal"], os.X_OK) else None
    unproven = bool(params["undo"]) and earlier is not None and earlier.state == "open"
    unsettled = [path for path in (earlier.unsettled if earlier else []) if path not in tree.paths]
    changed = bool(tree.changed) or bool(unsettled) or unproven
    armed = unproven or bool(guarded(params, tree.paths + unsettled))
    result = {"changed": changed, "changed_files": tree.paths + unsettled, "armed": armed}
    if module._diff:
        result["diff"] = tree.diff()
    if module.check_mode:
        validate_only(module, tree)
    elif changed:
        Change(module, tree, earlier, armed=armed).run()
    return result


def main() -> None:
    """Run as Ansible's module."""
    # no_log: contents may be secrets, and Ansible would write them to the machine's log.
    module = AnsibleModule(SPEC, no_log=True, supports_check_mode=True)
    try:
        if module.check_mode:
            result = apply(module)
        else:
            with locked(module.params["name"], module.params["journal"]):
                result = apply(module)
    except (Refused, FileProblem, JournalProblem, OSError) as error:
        module.fail_json(msg=str(error), invocation={})
    module.exit_json(**result, invocation={})


if __name__ == "__main__":
    main()
