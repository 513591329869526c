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
    description: Folders of the controller by their path on the machine, copied verbatim; nothing else may stand in them.
    type: dict
  exclusive: {description: "Directories in which only the files brought here may stand.", type: list, elements: path}
  skip: {description: "Paths or globs of the tree that are not wanted.", type: list, elements: str}
  undo: {description: "Interlock: C(after) seconds, the C(command) that makes the old state count.", type: dict}
  verify: {description: "A command that must succeed once all is written, else all is brought back.", type: str}
  then:
    description:
      - Commands by glob, run in their order once all is written when a file that fits has changed.
      - A command that did not come to its end (the controller died, say) runs at the next call.
    type: dict
  journal: {description: "Where journals are kept.", type: path}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: [Hangar]
"""

import fnmatch
import grp
import os
import pwd
import shlex
import shutil
import tempfile
import time
from base64 import b64decode

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.hangar_files import FileProblem, Staged, State, look, set_directory, stage
from ansible.module_utils.hangar_files import remove as remove_path
from ansible.module_utils.hangar_journal import Journal, JournalProblem, arm, load, locked, save, undo

SPEC = {
    "name": {"type": "str", "required": True},
    "entries": {"type": "list", "elements": "dict", "required": True},
    "exclusive": {"type": "list", "elements": "str", "default": []},
    "undo": {"type": "dict"},
    "verify": {"type": "str"},
    "then": {"type": "dict", "default": {}},
    "journal": {"type": "str", "required": True},
}


class Refused(Exception):
    """Nothing has been written; the message says what stands in the way."""


def deepest_first(path: str) -> list[str]:
    """A file, or a folder after everything in it; links are not followed."""
    if os.path.islink(path) or not os.path.isdir(path):
        return [path]
    return [
        inner for name in sorted(os.listdir(path)) for inner in deepest_first(os.path.join(path, name))
    ] + [path]


class Tree:
    """The wanted entries, what stands there now, and what has to change."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.params = module, module.params
        self.entries = [*self.params["entries"], *self._strays()]
        self.before = {entry["path"]: look(entry["path"]) for entry in self.entries}
        self.wanted = {entry["path"]: self._state(entry) for entry in self.entries}
        self.changed = [entry for entry in self.entries if self._differs(entry["path"])]
        self.paths = [entry["path"] for entry in self.changed]

    def _strays(self) -> list[dict]:
        brought = {entry["path"] for entry in self.params["entries"]}
        found = []
        for folder in self.params["exclusive"]:
            names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
            paths = [os.path.join(folder, name) for name in names]
            strays = [
                path
                for path in paths
                if path not in brought and not any(one.startswith(path + "/") for one in brought)
            ]
            found += [
                {"path": path, "kind": "absent", "diff": True}
                for stray in strays
                for path in deepest_first(stray)
            ]
        return found

    def _state(self, entry: dict) -> State:
        if entry["kind"] == "absent":
            return State()
        content = b64decode(entry.get("content", ""))
        if entry["kind"] == "link":
            return State("link", os.geteuid(), os.getegid(), 0o777, content)
        uid, gid = self._id(entry, "owner", pwd.getpwnam), self._id(entry, "group", grp.getgrnam)
        return State(entry["kind"], uid, gid, int(entry["mode"], 8), content)

    def _id(self, entry: dict, field: str, find) -> int:
        value = entry[field]
        if value.isdigit():
            return int(value)
        try:
            return find(value)[2]
        except KeyError:
            if self.module.check_mode:
                return -1  # an earlier role would have made the account
            raise Refused(f"{entry['path']}: there is no {field} {value!r} on the machine") from None

    def _differs(self, path: str) -> bool:
        before, wanted = self.before[path], self.wanted[path]
        if before.kind == "directory" and wanted.kind in ("file", "link"):
            raise Refused(f"{path}: a directory stands where a {wanted.kind} belongs")
        if before.kind not in ("directory", "absent") and wanted.kind == "directory":
            raise Refused(f"{path}: a {before.kind} stands where a directory belongs")
        return before != wanted

    def diff(self) -> list[dict]:
        """Return the differences a file, in the form that Ansible prints."""
        return [part for entry in self.changed for part in self._diff_one(entry)]

    def _diff_one(self, entry: dict) -> list[dict]:
        path = entry["path"]
        before, wanted = self.before[path], self.wanted[path]
        parts = []
        if before.content != wanted.content or before.kind != wanted.kind:
            texts = [self._text(state, entry["diff"]) for state in (before, wanted)]
            parts.append({"before_header": path, "after_header": path, "before": texts[0], "after": texts[1]})
        kept = "absent" not in (before.kind, wanted.kind)
        if (kept or wanted.kind == "directory") and self._rights(before) != self._rights(wanted):
            header = f"{path} (owner and mode)"
            texts = [self._rights(before), self._rights(wanted)]
            parts.append(
                {"before_header": header, "after_header": header, "before": texts[0], "after": texts[1]}
            )
        return parts

    @staticmethod
    def _rights(state: State) -> str:
        return "" if state.kind == "absent" else f"{state.uid}:{state.gid} {state.mode:04o}\n"

    @staticmethod
    def _text(state: State, shown: bool) -> str:
        if state.kind == "absent":
            return ""
        if state.kind in ("directory", "other"):
            return f"({state.kind})\n"
        if not shown:
            return "(content not shown)\n"
        try:
            return ("-> " if state.kind == "link" else "") + state.content.decode()
        except UnicodeDecodeError:
            return f"(binary, {len(state.content)} bytes)\n"

    def validate(self, entry: dict, path: str) -> None:
        """Let the entry's own command judge the file that stands at `path`."""
        if not entry.get("validate"):
            return
        argv = shlex.split(entry["validate"].replace("%s", shlex.quote(path)))
        if not shutil.which(argv[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            if self.module.check_mode:
                return  # an earlier role would have installed it
            raise Refused(f"{entry['path']}: {argv[0]} is not there to validate it")
        code, out, err = self.module.run_command(argv)
        if code:
            said = (err + out).strip().replace(path, entry["path"])
            raise Refused(f"{entry['path']}: refused by {entry['validate']!r} (exit {code}): {said}")

    def validate_only(self) -> None:
        """Check mode: judge the files in a temporary folder, under the names that they will have."""
        with tempfile.TemporaryDirectory(prefix="hangar-") as folder:
            for number, entry in enumerate(self.changed):
                if entry.get("validate"):
                    path = os.path.join(folder, str(number), os.path.basename(entry["path"]))
                    content = self.wanted[entry["path"]].content
                    stage(path, State("file", os.geteuid(), os.getegid(), 0o600, content)).commit()
                    self.validate(entry, path)


class Change:
    """Writes a tree: stage and validate all, journal, arm, and only then put in place."""

    def __init__(self, tree: Tree, earlier: Journal | None) -> None:
        self.tree, self.params = tree, tree.params
        self.undo = self.params["undo"]
        self.staged: list[Staged] = []
        earlier = earlier or Journal(self.params["name"])
        still_open = earlier.state == "open" and self.undo
        self.journal = earlier if still_open else Journal(earlier.name, token=earlier.token)
        self.journal.unsettled = [
            *tree.paths,
            *(path for path in earlier.unsettled if path not in tree.paths),
        ]
        self.journal.command = self.undo["command"] if self.undo else ""
        self.journal.changed_at = time.time()

    def run(self) -> None:
        """Do it; raises Refused with nothing changed."""
        try:
            for entry in self.tree.changed:
                if entry["kind"] in ("file", "link"):
                    self.staged.append(stage(entry["path"], self.tree.wanted[entry["path"]]))
                    self.tree.validate(entry, self.staged[-1].temporary_path)
            self._write_journal()
        except Exception:
            for staged in reversed(self.staged):
                staged.discard()
            raise
        self._write()

    def _write_journal(self) -> None:
        for entry in self.tree.changed:
            # The first state counts while the change is unproven, however often it is applied again.
            self.journal.before.setdefault(entry["path"], self.tree.before[entry["path"]])
        self.journal.made += [folder for staged in self.staged for folder in staged.made]
        if self.undo:
            arm(self.journal, int(self.undo["after"]), self.params["journal"])
        else:
            save(self.journal, self.params["journal"])

    def _write(self) -> None:
        ready = {staged.path: staged for staged in self.staged}
        for entry in self.tree.changed:
            path, wanted = entry["path"], self.tree.wanted[entry["path"]]
            if wanted.kind in ("file", "link"):
                ready[path].commit()
            elif wanted.kind == "directory":
                set_directory(path, wanted.uid, wanted.gid, wanted.mode)
            else:
                remove_path(path)
        if self.params["verify"]:
            self._command(self.params["verify"], bring_back=True)
        for pattern, command in self.params["then"].items():
            if fnmatch.filter(self.journal.unsettled, pattern):
                self._command(command, bring_back=bool(self.undo))
        self.journal.unsettled = []
        save(self.journal, self.params["journal"])

    def _command(self, command: str, *, bring_back: bool) -> None:
        code, out, err = self.tree.module.run_command(["/bin/sh", "-c", command])
        if not code:
            return
        after = ""
        if bring_back:
            problems = undo(self.journal, self.params["journal"])
            after = "; all was brought back" + (f", but: {'; '.join(problems)}" if problems else "")
        raise Refused(f"{command!r} failed (exit {code}): {(err + out).strip()}{after}")


def apply(module: AnsibleModule) -> dict:
    """Compare and, unless in check mode, write; return the module's result."""
    tree = Tree(module)
    name, root = module.params["name"], module.params["journal"]
    earlier = load(name, root) if os.access(root, os.X_OK) else None
    unproven = bool(module.params["undo"]) and earlier is not None and earlier.state == "open"
    unsettled = [path for path in (earlier.unsettled if earlier else []) if path not in tree.paths]
    changed = bool(tree.changed) or bool(unsettled) or unproven
    result = {"changed": changed, "changed_files": [*tree.paths, *unsettled]}
    result["armed"] = changed and bool(module.params["undo"])
    if module._diff:
        result["diff"] = tree.diff()
    if module.check_mode:
        tree.validate_only()
    elif changed:
        Change(tree, earlier).run()
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
