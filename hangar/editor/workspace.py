"""VS Code's own words for a folder on a machine: the link, and the workspace file that is opened here."""

import json
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from hangar.errors import HangarError
from hangar.paths import REPO
from hangar.ssh.files import write_atomically

SETTINGS = REPO / "roles" / "remote_ssh" / "files" / "settings.json"
"""What the machine gives every editor too; the workspace repeats it for accounts that have settings of their own."""

EXTENSIONS = "extensions.json"
"""Beside them: what the work with DAGs, dbt and Hangar's own files is easier with. It lies in homes and in the shared
folder too. VS Code asks before it installs one.
"""

LIVE = "/srv/airflow/dags"


def link(host: str, folder: str) -> str:
    """The address that VS Code opens: Remote-SSH on that host, in that folder."""
    return f"vscode://vscode-remote/ssh-remote+{host}{quote(folder)}"


def home(user: str, *, is_person: bool) -> str:
    """That of the operator's account is where Debian puts it; people's outlive the machine (role people)."""
    return f"/srv/people/home/{user}" if is_person else f"/home/{user}"


def require_folder(folder: str) -> str:
    """The folder as it is meant on the machine.

    Raises:
        HangarError: it does not begin at the root.
    """
    if not folder.startswith("/") or any(char in folder for char in "\r\n\0"):
        raise HangarError(
            f"{folder!r} is no whole path on the machine.",
            resolution="Such as: --folder /srv/airflow/dags, or --folder /srv/people/home/NAME/dags",
        )
    return str(PurePosixPath(folder))


def workspace(host: str, folder: str) -> dict[str, Any]:
    """The content of a .code-workspace file."""
    known = json.loads(SETTINGS.read_text(encoding="utf-8"))
    launch = known.pop("launch")
    return {
        "folders": [
            {"uri": f"vscode-remote://ssh-remote+{host}{quote(folder)}", "name": f"{host}: {folder}"}
        ],
        "remoteAuthority": f"ssh-remote+{host}",
        "settings": known,
        "launch": launch,
        "extensions": json.loads(SETTINGS.with_name(EXTENSIONS).read_text(encoding="utf-8")),
    }


def write(path: Path, host: str, folder: str) -> bool:
    """Writes the workspace file; returns whether it changed."""
    return write_atomically(path, json.dumps(workspace(host, folder), indent=2) + "\n", 0o644)
