"""What was there before an upgrade: kept here, so that the way back needs no key of the operator's, and put back."""

import contextlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

from hangar_backup import databases, standing_in
from hangar_backup.described import Refused
from hangar_files import FileProblem

from hangar.serving import Refusal
from hangar.upgrade.remote import PLATFORM_BACK
from hangar.upgrade.remote.running import (
    CONTAINERS,
    DESCRIBED,
    SRV,
    WORKED,
    as_docker,
    described,
    in_database,
    read,
    recipe,
    run,
    sql,
)

HOME = Path("/srv/upgrade")
BEFORE, KEEPING = HOME / "before", HOME / ".keeping"
"""What was there before an upgrade: whole under its name, or not at all."""

ROOT = Path("/")
KEPT = (
    "srv/airflow/stack", "srv/airbyte/stack", "etc/systemd/user", "etc/docker", "etc/hangar/airbyte.json",
    "etc/systemd/system/airflow-*", "usr/local/lib/hangar/service-images", "usr/local/sbin/as-service",
    "usr/local/sbin/docker-hosts", "usr/local/sbin/airflow-*", "usr/local/sbin/airbyte-*",
    "usr/local/lib/hangar/hangar_abctl", "etc/systemd/system/airbyte-filter.service", "etc/hangar/airbyte-filter.*",
)  # fmt: skip
"""The files of the roles docker_host, airflow, airbyte and airbyte_abctl. Who gets in, the firewall and the hardening
are not among them: their roles have a way back of their own.
"""

OF_PLATFORM = ("bin", "inside", "install", "values.yaml", "wanted.json")
"""What Airbyte's platform is described by; programs and the filter are among the others."""

HEADS = "select tablename from pg_tables where tablename like '%alembic_version%' order by 1"


def keep(broken: list[str]) -> None:
    """A copy of what an upgrade may have to be undone with: files of the services, images, databases. Where not all of
    it can be kept, none is: half of it is no way back, and takes the room that the services need.
    """
    let_go(KEEPING)
    try:
        _keep(broken)
    except BaseException:
        let_go(KEEPING)
        raise
    shutil.rmtree(BEFORE, ignore_errors=True)
    KEEPING.rename(BEFORE)


def _keep(broken: list[str]) -> None:
    (KEEPING / "files").mkdir(mode=0o700, parents=True)
    HOME.chmod(0o700)
    keep_files(KEEPING / "files")
    users = [user for user in CONTAINERS if recipe(user)]
    heads = {}
    if "airflow" in users:
        heads["airflow"] = airflow_heads()
        with (KEEPING / "airflow.dump").open("xb") as sink:
            run(in_database("pg_dump", "--format=custom", "--compress=zstd:3"), sink=sink, seconds=WORKED)
    if "airbyte" in users and state_of_airbyte().exists():
        heads["airbyte"] = copy_airbyte(KEEPING / "state.sqlite")
    if chart := chart_of_platform():
        heads["platform"] = chart
        (KEEPING / "platform").mkdir()
        run(
            ["cp", "--archive", *(str(platform() / name) for name in OF_PLATFORM), str(KEEPING / "platform")],
            seconds=WORKED,
        )
    state = {
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "revision": str(described().get("revision", "")), "broken": broken, "heads": heads,
        "services": {user: keep_images(user) for user in users},
    }  # fmt: skip
    (KEEPING / "state.json").write_text(json.dumps(state))
    run(["sync", "--file-system", str(KEEPING)], seconds=WORKED)


def put_back() -> list[str]:
    """Puts back what was kept; returns what was done, in words.

    Raises:
        Refusal: nothing was kept, or a step failed; the same call goes on.
    """
    state = read(BEFORE / "state.json")
    if not state:
        raise Refusal("nothing", "nothing was kept to go back to")
    said = []
    for user in state["services"]:
        run(["as-service", user, "systemctl", "--user", "stop", f"{user}.service"], check=False)
    put_files_back()
    run(["systemctl", "daemon-reload"])
    said.append("files of Docker's daemons, Airflow and Airbyte as they were")
    for user, kept in state["services"].items():
        put_images_back(user, kept)
        said.append(f"images of {user} as they were")
    if "airflow" in state["heads"]:
        said.append(put_airflow_back(state["heads"]["airflow"]))
    if "airbyte" in state["heads"]:
        said.append(put_airbyte_back(state["heads"]["airbyte"]))
    if "platform" in state["heads"] and put_platform_back(state["heads"]["platform"]):
        said.append(PLATFORM_BACK)
    for user in state["services"]:
        run(["as-service", user, "touch", str(SRV / user / "state/settings-changed")])
        run(["as-service", user, "/usr/local/lib/hangar/service-images", "build"], seconds=WORKED)
        run(["as-service", user, str(SRV / user / "stack/ensure")], seconds=WORKED)
    if "airflow" in state["services"]:
        run(["airflow-accounts", "apply"])
    remember_revision(state["revision"])
    forget()
    return said


def forget() -> None:
    """What was kept is needed no more."""
    let_go(BEFORE)
    let_go(KEEPING)
    with contextlib.suppress(OSError):
        HOME.rmdir()


def keep_images(user: str) -> dict[str, Any]:
    """Second names for the images that run, which a container that never runs keeps from being tidied away."""
    kept, running = {}, images_at_work(user)
    prune_containers(user)
    for image in recipe(user):
        second = image.replace("hangar/", "hangar-before/", 1)
        if run(as_docker(user, "tag", running.get(image, image), second), check=False).returncode == 0:
            labels = ("--label", "hangar.before", "--label", "com.docker.compose.project=hangar-before")
            run(as_docker(user, "create", *labels, "--entrypoint", "/bin/true", second))
            kept[image] = second
    return {"images": kept, "outdated": (SRV / user / "state/images-outdated").exists()}


def images_at_work(user: str) -> dict[str, str]:
    """The containers' images: name → what it was when they were made. One of the same name may be newer."""
    project = f"label=com.docker.compose.project={user}"
    containers = run(
        as_docker(user, "container", "ls", "--quiet", "--filter", project), check=False
    ).stdout.split()
    if not containers:
        return {}
    form = "{{.Config.Image}} {{.Image}}"
    said = run(as_docker(user, "container", "inspect", "--format", form, *containers)).stdout
    return dict(line.split() for line in said.splitlines())


def put_images_back(user: str, kept: dict[str, Any]) -> None:
    """One that is gone nevertheless is made anew from its recipe, when the stack starts."""
    for image, second in kept["images"].items():
        run(as_docker(user, "tag", second, image), check=False)
    mark = SRV / user / "state/images-outdated"
    if mark.exists():
        mark.unlink()  # or what was put back would be made anew at once
    if kept["outdated"]:
        run(
            ["as-service", user, "systemctl", "--user", "start", "--no-block", "image-updates.service"],
            check=False,
        )


def let_go(folder: Path) -> None:
    """Removes a copy, and the second names of its images."""
    for user in [user for user in CONTAINERS if folder.exists() and recipe(user)]:
        form = ("--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=hangar-before/*")
        second = run(as_docker(user, "image", "ls", *form), check=False).stdout.split()
        if second:
            prune_containers(user)
            run(as_docker(user, "image", "rm", *second), check=False)
    shutil.rmtree(folder, ignore_errors=True)


def prune_containers(user: str) -> None:
    """Removes those that kept images from being tidied away."""
    run(as_docker(user, "container", "prune", "--force", "--filter", "label=hangar.before"), check=False)


def keep_files(folder: Path) -> None:
    there = [str(path.relative_to(ROOT)) for pattern in KEPT for path in ROOT.glob(pattern)]
    run(["cp", "--archive", "--parents", *there, str(folder)], cwd=ROOT, seconds=WORKED)


def put_files_back() -> None:
    """What came is removed, what changed or went is as it was."""
    files = BEFORE / "files"
    for pattern in KEPT:
        was = {path.relative_to(files) for path in files.glob(pattern)}
        for path in ROOT.glob(pattern):
            if path.relative_to(ROOT) not in was:
                remove(path)
        for name in sorted(was):
            fresh = (ROOT / name).with_name(f".{name.name}.before")
            remove(fresh)
            run(["cp", "--archive", "--no-target-directory", str(files / name), str(fresh)], seconds=WORKED)
            remove(ROOT / name)
            fresh.rename(ROOT / name)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_airflow_back(heads: str) -> str:
    """Airflow's database as it was kept, unless its schema still is at these revisions; says in words which it was. The
    one that is there goes only once the other is whole.

    Raises:
        Refusal: it could not be put back.
    """
    compose = ["docker", "compose", "--progress", "quiet", "--project-directory", str(SRV / "airflow/stack")]
    run(["as-service", "airflow", *compose, "up", "--detach", "--wait", "postgres"], seconds=WORKED)
    if airflow_heads() == heads:
        return "Airflow's database had not been migrated and was left as it is"
    sql(
        "drop database if exists restored with (force); create database restored template template0;",
        "postgres",
    )
    with (BEFORE / "airflow.dump").open("rb") as source:
        run(in_database("pg_restore", "--exit-on-error", database="restored"), source=source, seconds=WORKED)
    sql(standing_in.swap("airflow"), "postgres")
    return "Airflow's database as it was before it was migrated"


def put_airbyte_back(heads: str) -> str:
    """The same of the embedded engine's records.

    Raises:
        Refusal: they could not be put back.
    """
    now = HOME / "now.sqlite"
    now.unlink(missing_ok=True)
    try:
        if copy_airbyte(now) == heads:
            return "Airbyte's records had not been migrated and were left as they are"
    except Refusal:
        pass  # what cannot be read is what the upgrade left behind
    finally:
        now.unlink(missing_ok=True)
    try:
        standing_in.take_the_place_of(state_of_airbyte(), BEFORE / "state.sqlite")
    except FileProblem as problem:
        raise Refusal("failed", str(problem)) from None
    return "Airbyte's records as they were before they were migrated"


def put_platform_back(chart: str) -> bool:
    """Its settings, unless another release was begun: what that has migrated, no earlier one reads."""
    if chart_of_platform() != chart or (platform() / "state/begun.json").exists():
        return False
    for name in OF_PLATFORM:
        fresh = platform() / f".{name}.before"
        remove(fresh)
        run(
            ["cp", "--archive", "--no-target-directory", str(BEFORE / "platform" / name), str(fresh)],
            seconds=WORKED,
        )
        remove(platform() / name)
        fresh.rename(platform() / name)
    run(["systemctl", "try-restart", "airbyte-filter.service"], check=False)
    run(["airbyte-abctl", "apply", "--upgrade"], seconds=WORKED)
    run(["airbyte-secrets", "ensure"])
    return True


def platform() -> Path:
    return SRV / "airbyte/abctl"


def chart_of_platform() -> str:
    """The release of Airbyte's platform that is installed, nothing where there is none."""
    return str(read(platform() / "state/installed.json").get("chart", ""))


def airflow_heads() -> str:
    """Which migrations Airflow's database has seen."""
    tables = sql(HEADS).split()
    return " ".join(
        f"{table}={sql(f'select version_num from {table} order by 1').split()}" for table in tables
    )


def state_of_airbyte() -> Path:
    return SRV / "airbyte/data/state.sqlite"


def copy_airbyte(place: Path) -> str:
    """Through SQLite's own copy: the engine is writing. Its owner reads it and the copy, in so much memory
    and time: nothing of root's stays beside it, and whoever writes it chooses what reading it runs.

    Returns:
        The shape of the records.

    Raises:
        Refusal: they cannot be read, or are not sound.
    """
    try:
        databases.copy_airbyte(place, state_of_airbyte())
        place.chmod(0o600)
        return str(databases.shape_of_airbyte(place, state_of_airbyte()))
    except (Refused, FileProblem) as problem:
        raise Refusal("failed", str(problem)) from None


def remember_revision(known: str) -> None:
    """The machine is made from the earlier revision again, as far as its services go."""
    there = described()
    if there and there.get("revision", "") != known:
        fresh = DESCRIBED.with_suffix(".new")
        fresh.write_text(json.dumps({**there, "revision": known}))
        fresh.chmod(DESCRIBED.stat().st_mode & 0o777)
        fresh.replace(DESCRIBED)
