"""The base image of local machines: pulled and completed where a registry answers, else made from Debian's packages."""

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound

from hangar import process
from hangar.cloud import debian_root
from hangar.cloud.base import Report
from hangar.cloud.container.request import INIT
from hangar.cloud.local.ownership import RECIPE
from hangar.cloud.recipe import SETUP, START, Recipe
from hangar.errors import CloudError
from hangar.paths import REPO

REPOSITORY = "hangar-base"
BUILDER = "hangar.builder"
"""Label of a container in which an image is being made; its value is the checkout's cache folder."""

CACHE = REPO / ".hangar" / "cache"

REGISTRY_PATIENCE = 8
"""Seconds that a registry gets to answer before Debian's packages are taken instead."""


def ensure(client: APIClient, recipe: Recipe, report: Report) -> str:
    """Returns the image made from `recipe`, after making it if need be (half a minute or two).

    Raises:
        CloudError: it cannot be made here; says what is missing.
    """
    image = f"{REPOSITORY}:{recipe.hash}"
    with _one_at_a_time(client):
        if not exists(client, image):
            start = starting_image(client, report)
            if start:
                _complete(client, start, recipe, report, (REPOSITORY, recipe.hash))
            else:
                _bootstrap(client, recipe, report)
    return image


def exists(client: APIClient, image: str) -> bool:
    try:
        client.inspect_image(image)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return False
    return True


def ensure_layer(
    client: APIClient, recipe: Recipe, repository: str, tag: str, report: Report, base: Recipe | None = None
) -> str:
    """Returns the image `repository`:`tag`: the base image completed by `recipe`, made if need be (half a minute)."""
    image = f"{repository}:{tag}"
    if not exists(client, image):
        start = ensure(client, base or Recipe(), report)
        with _one_at_a_time(client):
            if not exists(client, image):
                _complete(client, start, recipe, report, (repository, tag))
    return image


def remove_old(client: APIClient, keep: str) -> list[str]:
    """Removes the images of `keep`'s repository but for `keep` itself, and but for those that a machine still uses."""
    removed = []
    for image in client.images(filters={"label": RECIPE}):
        for tag in image.get("RepoTags") or ():
            if tag.startswith(f"{keep.partition(':')[0]}:") and tag != keep:
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


def _changes(tag: str) -> list[str]:
    return [f'CMD ["{INIT}"]', f"LABEL {RECIPE}={tag}", "EXPOSE 22"]


def _complete(client: APIClient, start: str, recipe: Recipe, report: Report, image: tuple[str, str]) -> None:
    """Installs the recipe in a container of `start` and keeps the result as `image` (repository, tag)."""
    builder = client.create_container(
        start,
        ["sleep", "infinity"],
        host_config=client.create_host_config(network_mode="bridge"),
        labels={BUILDER: str(CACHE)},
    )["Id"]
    try:
        client.put_archive(builder, "/", recipe.tar())
        client.start(builder)
        report("install packages")
        packages = " ".join(recipe.packages)
        _run(client, builder, f"apt-get -q update && apt-get -qy install --no-install-recommends {packages}")
        _run(client, builder, f"/{SETUP}")
        client.commit(builder, *image, changes=_changes(image[1]))
    finally:
        client.remove_container(builder, v=True, force=True)


def _run(client: APIClient, builder: str, script: str) -> None:
    call = client.exec_create(
        builder, ["sh", "-c", script], environment={"DEBIAN_FRONTEND": "noninteractive"}
    )
    output = client.exec_start(call["Id"]).decode(errors="replace")
    if client.exec_inspect(call["Id"])["ExitCode"] != 0:
        tail = "\n".join(output.splitlines()[-20:])
        raise CloudError("The machine's image could not be made.", f"* In the container: {script}\n{tail}")


def _bootstrap(client: APIClient, recipe: Recipe, report: Report) -> None:
    """Makes the image from Debian's signed packages."""
    report("make the base image from Debian's packages")
    folder = Path(tempfile.mkdtemp(dir=CACHE, prefix="base-"))
    try:
        files, root = folder / "files.tar", folder / "root.tar"
        files.write_bytes(recipe.tar())
        debian_root.make(recipe, files, root)
        report("import the base image")
        client.import_image(str(root), repository=REPOSITORY, tag=recipe.hash, changes=_changes(recipe.hash))
    finally:
        _discard(folder)


@contextlib.contextmanager
def _one_at_a_time(client: APIClient) -> Iterator[None]:
    """Two environments may need the image at once; the second waits and finds it made."""
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (CACHE / "base-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove_leftovers(client)
        yield


def _remove_leftovers(client: APIClient) -> None:
    """A run that was killed leaves its half-made root; only the holder of the lock may be using one."""
    for folder in CACHE.glob("base-*/"):
        _discard(folder)
    for builder in client.containers(all=True, filters={"label": f"{BUILDER}={CACHE}"}):
        client.remove_container(builder["Id"], v=True, force=True)


def _discard(folder: Path) -> None:
    # Never into another file system: what a killed run mounted there is this computer's own.
    process.run(["rm", "-rf", "--one-file-system", "--", str(folder)], check=False)
