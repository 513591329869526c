"""The base image of local machines: pulled and completed where a registry answers, else made from Debian's packages."""

import contextlib
import fcntl
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from hangar import process
from hangar.cloud.base import Report
from hangar.cloud.container.request import INIT, RECIPE
from hangar.cloud.recipe import FOLDER, SETUP, START, SUITE, Recipe
from hangar.errors import CloudError, CommandFailed, MissingTool
from hangar.paths import REPO

REPOSITORY = "hangar-base"
BUILDER = "hangar-base-build"
CACHE = REPO / ".hangar" / "cache"
SOURCES = FOLDER / "root" / "etc" / "apt" / "sources.list.d" / "debian.sources"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
INSTALL_HINT = "Install it: sudo apt-get install mmdebstrap debian-archive-keyring"

REGISTRY_PATIENCE = 8
"""Seconds that a registry gets to answer before Debian's packages are taken instead."""


def ensure(client: APIClient, recipe: Recipe, report: Report) -> str:
    """Returns the image made from `recipe`, after making it if need be (half a minute or two).

    Raises:
        CloudError: it cannot be made here; says what is missing.
    """
    image = f"{REPOSITORY}:{recipe.hash}"
    with _one_at_a_time():
        if not exists(client, image):
            start = starting_image(client, report)
            if start:
                _complete(client, start, recipe, report)
            else:
                _bootstrap(client, recipe, report)
    return image


def exists(client: APIClient, image: str) -> bool:
    try:
        client.inspect_image(image)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return False
    return True


def remove_old(client: APIClient, recipe: Recipe) -> list[str]:
    """Removes images of other recipes, except where a machine still uses them."""
    removed = []
    for image in client.images(filters={"label": RECIPE}):
        for tag in image.get("RepoTags") or ():
            if tag.startswith(f"{REPOSITORY}:") and tag != f"{REPOSITORY}:{recipe.hash}":
                # 409 conflict: another environment's machine was made from it.
                with contextlib.suppress(APIError):
                    client.remove_image(tag)
                    removed.append(tag)
    return removed


def starting_image(client: APIClient, report: Report) -> str | None:
    """Debian's official image, freshly pulled if its registry answers soon; None if there is none to be had."""
    if registry_answers(client):
        report(f"pull {START}")
        repository, tag = START.split(":")
        try:
            client.pull(repository, tag=tag)
        except DockerException as error:
            report(f"the registry failed ({error}); taking Debian's packages instead")
    return START if exists(client, START) else None


def registry_answers(client: APIClient) -> bool:
    """Asks the engine, since it is the engine that pulls (through its own proxy and certificates)."""
    patience, client.timeout = client.timeout, REGISTRY_PATIENCE
    try:
        client.inspect_distribution(START)  # type: ignore[no-untyped-call]
    except (DockerException, OSError):
        return False
    finally:
        client.timeout = patience
    return True


def _changes(recipe: Recipe) -> list[str]:
    return [f'CMD ["{INIT}"]', f"LABEL {RECIPE}={recipe.hash}", "EXPOSE 22"]


def _complete(client: APIClient, start: str, recipe: Recipe, report: Report) -> None:
    """Installs the recipe in a container of `start` and keeps the result as the image."""
    _remove_builder(client)
    settings = client.create_host_config(network_mode="bridge")
    client.create_container(
        start, ["sleep", "infinity"], name=BUILDER, host_config=settings, labels={RECIPE: recipe.hash}
    )
    try:
        client.put_archive(BUILDER, "/", recipe.tar())
        client.start(BUILDER)
        report("install packages")
        install = "apt-get -q update && apt-get -qy install --no-install-recommends " + " ".join(
            recipe.packages
        )
        _run(client, install)
        _run(client, f"/{SETUP}")
        client.commit(BUILDER, REPOSITORY, recipe.hash, changes=_changes(recipe))
    finally:
        _remove_builder(client)


def _run(client: APIClient, script: str) -> None:
    call = client.exec_create(
        BUILDER, ["sh", "-c", script], environment={"DEBIAN_FRONTEND": "noninteractive"}
    )
    output = client.exec_start(call["Id"]).decode(errors="replace")
    if client.exec_inspect(call["Id"])["ExitCode"] != 0:
        tail = "\n".join(output.splitlines()[-20:])
        raise CloudError("The base image could not be made.", f"* In the container: {script}\n{tail}")


def _remove_builder(client: APIClient) -> None:
    with contextlib.suppress(NotFound):
        client.remove_container(BUILDER, v=True, force=True)


def _bootstrap(client: APIClient, recipe: Recipe, report: Report) -> None:
    """Makes the image from Debian's signed packages."""
    report("make the base image from Debian's packages")
    folder = Path(tempfile.mkdtemp(dir=CACHE, prefix="base-"))
    try:
        files, root = folder / "files.tar", folder / "root.tar"
        files.write_bytes(recipe.tar())
        _mmdebstrap(recipe, files, root)
        report("import the base image")
        client.import_image(str(root), repository=REPOSITORY, tag=recipe.hash, changes=_changes(recipe))
    finally:
        _discard(folder)


def _mmdebstrap(recipe: Recipe, files: Path, root: Path) -> None:
    if not shutil.which("mmdebstrap"):
        raise MissingTool(
            "The base image cannot be made: no registry answers, and mmdebstrap is not installed.",
            resolution=INSTALL_HINT,
        )
    if not KEYRING.exists():
        raise MissingTool(
            "Debian's keys are not installed, so the base image's packages could not be verified.",
            f"* Missing: {KEYRING}", INSTALL_HINT,
        )  # fmt: skip
    argv = [
        *_own_mounts(), "mmdebstrap", "--variant=minbase", "--format=tar",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=Acquire::Languages "none"',
        f"--customize-hook=tar-in {shlex.quote(str(files))} /",
        f'--customize-hook=chroot "$1" /{SETUP}',
        SUITE, str(root), str(SOURCES),
    ]  # fmt: skip
    try:
        process.run(argv, env={"DEBIAN_FRONTEND": "noninteractive", **_scratch(root.parent)})
    except CommandFailed as error:
        raise CloudError("The base image could not be made.", error.details, _namespace_hint()) from error


def _own_mounts() -> list[str]:
    """As root, mmdebstrap mounts /proc and devices in its new root: should it be killed, they go with its namespace.

    Without root it makes itself a namespace.
    """
    return ["unshare", "--mount", "--propagation", "private", "--"] if os.geteuid() == 0 else []


def _scratch(folder: Path) -> dict[str, str]:
    """As root, the half-made root is where a killed run's leftovers are found and removed.

    Without root, it belongs to subordinate ids, which could not enter our closed folder.
    """
    return {"TMPDIR": str(folder)} if os.geteuid() == 0 else {}


def _namespace_hint() -> str:
    if os.geteuid() == 0:
        return ""
    return (
        "Without root, mmdebstrap needs user namespaces and sub-ids (package uidmap): ./provision.py doctor."
    )


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two environments may need the image at once; the second waits and finds it made."""
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (CACHE / "base-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove_leftovers()
        yield


def _remove_leftovers() -> None:
    """A run that was killed leaves its half-made root; only the holder of the lock may be using one."""
    for folder in CACHE.glob("base-*/"):
        _discard(folder)


def _discard(folder: Path) -> None:
    # Never into another file system: what a killed run mounted there is this computer's own.
    process.run(["rm", "-rf", "--one-file-system", "--", str(folder)], check=False)
