"""One command on a machine, by the environment's own client configuration."""

from typing import TYPE_CHECKING

from hangar import paths

if TYPE_CHECKING:
    from hangar.cloud.base import Server

NO_LOGIN = 255
"""How ssh itself ends when it did not get in; every other status is the command's."""

PENALTY = "Not allowed at this time"
"""How sshd (9.8 and newer) turns away an address whose logins failed, by PerSourcePenalties, before its name."""

TOO_MANY = "Exceeded MaxStartups"
"""The same where too many logins are under way."""


def argv(server: "Server", command: str) -> list[str]:
    """Runs a shell command there. Asks nobody anything: what would ask fails."""
    return [
        "ssh",
        "-F",
        str(paths.ssh_config(server.environment)),
        "-o",
        "BatchMode=yes",
        server.name,
        command,
    ]
