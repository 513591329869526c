"""The controller's half of `apply_tree`: render a role's templates and send them in one transfer.

Why whole trees: docs/decisions/0004. Its options are documented in
`playbooks/plugins/modules/apply_tree.py`.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from base64 import b64encode
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

OPTIONS = {"name", "source", "files", "directories", "links", "absent", "exclusive", "skip", "folders"}
OPTIONS |= {"undo", "verify", "then", "journal", "unless"}
RIGHTS = {"owner", "group", "mode"}
FILE_KEYS = {*RIGHTS, "validate", "diff", "content", "template", "vars"}
UNDO_NEEDS = {"after", "command"}
UNDO_KEYS = UNDO_NEEDS | {"paths", "network", "accounts"}
JOURNAL = "/var/lib/hangar/journal"


def _fail(message: str) -> AnsibleActionFail:
    return AnsibleActionFail(f"apply_tree: {message}")


def check_options(args: Mapping[str, Any]) -> None:
    """Refuse what would otherwise be ignored in silence."""
    if unknown := sorted(set(args) - OPTIONS):
        raise _fail(f"unknown options: {', '.join(unknown)}")
    for path, options in (args.get("files") or {}).items():
        if unknown := sorted(set(options or {}) - FILE_KEYS):
            raise _fail(f"files: {path}: unknown keys: {', '.join(unknown)}")
        if not {"content", "template"}.isdisjoint(options or {}) and any(sign in path for sign in "*?["):
            raise _fail(f"files: {path}: content and template need one path, not a glob")
    for path, options in (args.get("directories") or {}).items():
        if unknown := sorted(set(options or {}) - RIGHTS):
            raise _fail(f"directories: {path}: unknown keys: {', '.join(unknown)}")
    undo = args.get("undo")
    if undo and not UNDO_NEEDS <= set(undo) <= UNDO_KEYS:
        raise _fail(
            "undo needs the keys after and command, and takes paths, network and accounts beside them"
        )


def check_once(entries: list[dict[str, Any]]) -> None:
    """Refuse two wishes for one path: each run would undo the other's."""
    seen: dict[str, str] = {}
    for one in entries:
        path, kind = one["path"], one["kind"]
        if seen.setdefault(path, kind) != kind:
            raise _fail(f"{path}: wanted both as {seen[path]} and as {kind}")


def tree(source: str) -> Iterator[tuple[str, str]]:
    """Yield (file on the controller, path on the machine) for a folder that mirrors the machine's layout.

    Names at the top that begin with an underscore are parts for `include` or `template`, not files of the tree.
    """
    for folder, folders, names in os.walk(source):
        if folder == source:
            folders[:] = [name for name in folders if not name.startswith("_")]
            names = [name for name in names if not name.startswith("_")]
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            yield path, "/" + os.path.relpath(path, source).removesuffix(".j2")


def copied(source: str) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, path on the controller, name below the folder); what Python compiled stays behind.

    Such a folder may be others' work (DAGs, plugins, connectors), and a link in it would choose which of this
    computer's files goes to the machine: the operator's private key, say. So a link fails, as does a pipe.
    """
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted([*folders, *names]):
            if not is_plain(os.path.join(folder, name)):
                where = os.path.join(folder, name)
                raise _fail(f"folders: {where}: only files and folders go to the machine, and no link")
        yield "directory", folder, os.path.relpath(folder, source)
        for name in sorted(names):
            path = os.path.join(folder, name)
            yield "file", path, os.path.relpath(path, source)


def is_plain(path: str) -> bool:
    """Tell whether this is a file or a folder itself, and leads to none."""
    mode = os.lstat(path).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def matching(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the options of every glob that fits, in their order; an exact path has the last word."""
    merged: dict[str, Any] = {}
    for pattern, given in options.items():
        if pattern != path and fnmatch.fnmatchcase(path, pattern):
            merged.update(given or {})
    return {**merged, **(options.get(path) or {})}


def entry(path: str, kind: str, given: Mapping[str, Any], content: bytes | None = None) -> dict[str, Any]:
    """Build one wanted file or directory as the module takes it."""
    mode = given.get("mode", "0755" if kind == "directory" else "0644")
    if not isinstance(mode, str) or not mode.isdigit() or set(mode) & set("89"):
        raise _fail(f"{path}: the mode must be a quoted octal string such as '0644', not {mode!r}")
    wanted = {"path": path, "kind": kind, "mode": mode, "diff": bool(given.get("diff", True))}
    wanted |= {"owner": str(given.get("owner", "root")), "group": str(given.get("group", "root"))}
    if content is not None:
        wanted |= {"content": b64encode(content).decode(), "validate": given.get("validate")}
    return wanted


class ActionModule(ActionBase):
    """Renders on the controller with the task's own variables, then runs the module once."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result, without the contents that were sent."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        args = self._task.args
        check_options(args)
        copies = list(self._folders())
        entries = [*self._directories(), *copies, *self._files(variables), *self._links(), *self._absent()]
        check_once(entries)
        module_args = {
            "name": args.get("name") or self._role("name"),
            "entries": entries,
            "exclusive": [
                *(args.get("exclusive") or []),
                *(one["path"] for one in copies if one["kind"] == "directory"),
            ],
            "unless": args.get("unless") or {},
            "undo": args.get("undo"),
            "verify": args.get("verify"),
            "then": args.get("then") or {},
            "journal": args.get("journal") or JOURNAL,
            "hidden": bool(self._task.no_log),
        }
        result = self._execute_module(
            "ansible.legacy.apply_tree", module_args=module_args, task_vars=variables
        )
        result.pop("invocation", None)
        if self._task.no_log:
            result.pop("diff", None)
        return result

    def _role(self, what: str) -> str:
        role = self._task._role
        if role is None:
            raise _fail(f"outside of a role the option {what} must be given")
        return str(role.get_name()) if what == "name" else os.path.join(role._role_path, "templates")

    def _directories(self) -> list[dict[str, Any]]:
        given = self._task.args.get("directories") or {}
        return [entry(path, "directory", given[path] or {}) for path in sorted(given)]

    def _folders(self) -> Iterator[dict[str, Any]]:
        rights = {**(self._task.args.get("directories") or {}), **(self._task.args.get("files") or {})}
        for target, source in (self._task.args.get("folders") or {}).items():
            if not os.path.isdir(source):
                raise _fail(f"folders: {target}: {source} is no folder")
            for kind, path, name in copied(source):
                content = Path(path).read_bytes() if kind == "file" else None
                where = os.path.normpath(os.path.join(target, name))
                yield entry(where, kind, matching(where, rights), content)

    def _links(self) -> list[dict[str, Any]]:
        given = self._task.args.get("links") or {}
        return [entry(path, "link", {}, str(target).encode()) for path, target in given.items()]

    def _absent(self) -> list[dict[str, Any]]:
        return [
            {"path": path, "kind": "absent", "diff": True} for path in self._task.args.get("absent") or []
        ]

    def _files(self, variables: dict[str, Any]) -> list[dict[str, Any]]:
        args = self._task.args
        source = args.get("source") or self._role("source")
        options, skip = args.get("files") or {}, args.get("skip") or []
        renderer = Renderer(self._templar, self._loader, source, variables, bool(self._task.no_log))
        found, skipped = {}, set()
        for file, path in tree(source):
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in skip):
                skipped.add(path)
            else:
                found[path] = entry(path, "file", matching(path, options), renderer.file(file))
        for path, given in options.items():
            if not {"content", "template"}.isdisjoint(given or {}):
                found[path] = entry(path, "file", matching(path, options), renderer.extra(given))
        self._check_matches(options, skipped.union(found))
        return list(found.values())

    @staticmethod
    def _check_matches(options: Mapping[str, Any], found: Container[str]) -> None:
        """A rule for a path that is no longer there is a mistake: a secret's mode, say, after a renaming."""
        for path in options:
            if not any(sign in path for sign in "*?[") and path not in found:
                raise _fail(f"files: {path}: the tree brings no such file")


class Renderer:
    """Renders templates as Ansible's own `template` does, indentation of blocks left out."""

    def __init__(
        self, templar: Any, loader: Any, source: str, variables: dict[str, Any], hidden: bool
    ) -> None:
        self.source, self.loader, self.variables, self.hidden = source, loader, variables, hidden
        self.templar = templar.copy_with_new_env(searchpath=[source], available_variables=variables)

    def file(self, path: str, extra: Mapping[str, Any] | None = None) -> bytes:
        """Return the file's bytes: rendered when its name ends in .j2, verbatim otherwise."""
        if not path.endswith(".j2"):
            with open(path, "rb") as stream:
                return stream.read()
        text = trust_as_template(self.loader.get_text_file_contents(path))
        templar = self.templar
        if extra:
            templar = templar.copy_with_new_env(
                searchpath=[self.source], available_variables={**self.variables, **extra}
            )
        try:
            rendered = templar.template(
                text, escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": True}
            )
        except Exception as error:
            # Ansible shows an error's message even where no_log hides the result.
            said = type(error).__name__ if self.hidden else error
            raise _fail(f"{os.path.relpath(path, self.source)}: {said}") from (None if self.hidden else error)
        return ("" if rendered is None else str(rendered)).encode()

    def extra(self, given: Mapping[str, Any]) -> bytes:
        """Return the bytes of a file that the tree does not hold."""
        if "content" in given:
            return str(given["content"]).encode()
        path = os.path.join(self.source, given["template"])
        # Outside of the role it is somebody's file, a lock of the user's say: no name makes a template of it, which
        # would run on this computer what it names.
        return (
            self.file(path, given.get("vars"))
            if Path(path).is_relative_to(self.source)
            else Path(path).read_bytes()
        )
