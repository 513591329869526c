"""What a tree of files should be, what stands there, and what has to change.

Part of the module `apply_tree`; a module of its own so that each half can be read by itself.
"""

from __future__ import annotations

import grp
import os
import pwd
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from ansible.module_utils.hangar_files import State, look

Entry = dict[str, Any]
"""One wanted path, as the controller sends it: path, kind, owner, group, mode, content, validate, diff."""


class Refused(Exception):
    """Nothing has been written; the message says what stands in the way."""


def deepest_first(path: str) -> list[str]:
    """A file, or a folder after everything in it; links are not followed."""
    if os.path.islink(path) or not os.path.isdir(path):
        return [path]
    return [
        inner for name in sorted(os.listdir(path)) for inner in deepest_first(os.path.join(path, name))
    ] + [path]


def parents(path: str) -> list[str]:
    """Return the folders above a path, nearest first."""
    above = os.path.dirname(path)
    return [] if above in ("", "/") else [above, *parents(above)]


def strays(entries: list[Entry], folders: list[str]) -> list[Entry]:
    """Return what stands in these folders although nobody brings it, contents before their folder."""
    brought = {entry["path"] for entry in entries}
    needed = brought | {parent for path in brought for parent in parents(path)}
    found = []
    for folder in folders:
        # Where the files that belong there are secrets, so may be the ones that do not.
        shown = all(entry["diff"] for entry in entries if entry["path"].startswith(folder + "/"))
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        for stray in (os.path.join(folder, name) for name in names):
            if stray not in needed:
                found += [{"path": path, "kind": "absent", "diff": shown} for path in deepest_first(stray)]
    return found


class Tree:
    """The wanted entries, what stands there now, and what has to change."""

    def __init__(self, entries: list[Entry], exclusive: list[str], check_mode: bool) -> None:
        self.check_mode = check_mode
        self.entries = [*entries, *strays(entries, exclusive)]
        self.before = {entry["path"]: look(entry["path"]) for entry in self.entries}
        self.wanted = {entry["path"]: self._state(entry) for entry in self.entries}
        self.changed = [entry for entry in self.entries if self._differs(entry["path"])]
        self.paths = [entry["path"] for entry in self.changed]

    def _state(self, entry: Entry) -> State:
        if entry["kind"] == "absent":
            return State()
        content = b64decode(entry.get("content", ""))
        if entry["kind"] == "link":
            return State("link", os.geteuid(), os.getegid(), 0o777, content)
        uid, gid = self._id(entry, "owner", pwd.getpwnam), self._id(entry, "group", grp.getgrnam)
        return State(entry["kind"], uid, gid, int(entry["mode"], 8), content)

    def _id(self, entry: Entry, field: str, find: Callable[[str], Any]) -> int:
        value = entry[field]
        if value.isdigit():
            return int(value)
        try:
            return int(find(value)[2])
        except KeyError:
            if self.check_mode:
                return -1  # an earlier role would have made the account
            raise Refused(f"{entry['path']}: there is no {field} {value!r} on the machine") from None

    def _differs(self, path: str) -> bool:
        before, wanted = self.before[path], self.wanted[path]
        if before.kind == "directory" and wanted.kind in ("file", "link"):
            raise Refused(f"{path}: a directory stands where a {wanted.kind} belongs")
        if before.kind not in ("directory", "absent") and wanted.kind == "directory":
            raise Refused(f"{path}: a {before.kind} stands where a directory belongs")
        return before != wanted

    def diff(self) -> list[dict[str, str]]:
        """Return the differences a file, in the form that Ansible prints."""
        return [part for entry in self.changed for part in self._diff_one(entry)]

    def _diff_one(self, entry: Entry) -> list[dict[str, str]]:
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
        if not state.content:
            return "(empty)\n"  # beside a file that is not there, nothing would be shown
        try:
            return ("-> " if state.kind == "link" else "") + state.content.decode()
        except UnicodeDecodeError:
            return f"(binary, {len(state.content)} bytes)\n"
