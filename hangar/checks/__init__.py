"""What would stop a local machine on this computer. One check, one function, one cure."""

from hangar import console, engine, process
from hangar.checks import controller, docker, image, kernel, room
from hangar.checks.finding import Check, Finding
from hangar.cloud.base import Report
from hangar.errors import HangarError, NeedsAnswer

__all__ = ["CHECKS", "Finding", "look", "prepare"]

CHECKS: tuple[Check, ...] = (
    controller.python, controller.ssh_client, controller.processors, docker.installed, docker.running, docker.fit,
    image.source, kernel.fuse, kernel.tun, kernel.user_namespaces, kernel.apparmor, room.disk, room.memory,
    controller.age,
)  # fmt: skip
"""In the order in which their cures are applied."""

FOR_A_VM: tuple[Check, ...] = (
    controller.python, controller.architecture, controller.ssh_client, controller.processors,
    docker.installed, docker.running, docker.fit, image.source, kernel.kvm, room.disk, room.memory, controller.age,
)  # fmt: skip
"""For a virtual machine, whose kernel is its own."""

APT_PATIENCE = 300
"""Seconds to wait for another call of apt."""


def look(checks: tuple[Check, ...] = CHECKS) -> list[Finding]:
    """Everything at once; changes nothing."""
    engine.forget()
    return [check() for check in checks]


def prepare(report: Report, checks: tuple[Check, ...] = CHECKS) -> None:
    """Returns when a local machine can be made here; mends what it may, after asking (--yes answers).

    Raises:
        EngineRefused: this account may not use the engine, which starting it would not change.
        HangarError: something is missing still; names each thing with its cure.
    """
    report("look at this computer")
    ill = _missing(look(checks))
    if not ill:
        return
    packages = tuple(dict.fromkeys(name for finding in ill for name in finding.packages))
    if packages and engine.has_apt() and _may(f"Install {', '.join(packages)} with apt-get?", ill):
        install(packages, report)
    engine.ensure_runs(report)
    ill = _missing(look(checks))
    for finding in ill:
        if finding.commands and _may(f"{finding.name}: {finding.detail}. Run `{finding.cure}`?", ill):
            for command in finding.commands:
                process.run([*engine.sudo(), *command])
    require(_missing(look(checks)) if ill else [])


def _may(question: str, ill: list[Finding]) -> bool:
    """Asks; where nobody can answer, says what is missing and how to install it oneself."""
    try:
        return console.confirm(question)
    except NeedsAnswer as error:
        missing = _describe(ill)
        raise NeedsAnswer(
            missing.brief,
            f"{missing.details}\n{error.details}",
            f"{missing.resolution}\n{error.resolution}",
        ) from error


def install(packages: tuple[str, ...], report: Report) -> None:
    """Installs Debian packages from the sources that this computer has."""
    # A laptop's own updates may hold dpkg's lock for a while.
    apt = [*engine.sudo(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q",
           f"-oDPkg::Lock::Timeout={APT_PATIENCE}"]  # fmt: skip
    report("fetch the package index")
    process.run([*apt, "update"])
    report(f"install {', '.join(packages)}")
    process.run([*apt, "install", "--yes", "--no-install-recommends", *packages])


def require(ill: list[Finding]) -> None:
    """Raises HangarError if anything is missing."""
    if ill:
        raise _describe(ill)


def _describe(ill: list[Finding]) -> HangarError:
    count = "Something is" if len(ill) == 1 else f"{len(ill)} things are"
    return HangarError(
        f"{count} missing for a machine on this computer.",
        "\n".join(f"{finding.name}: {finding.detail}" for finding in ill),
        "\n".join(dict.fromkeys(finding.cure for finding in ill if finding.cure)),
    )


def _missing(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state == "missing"]
