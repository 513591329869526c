"""Pure: what the machine has + what this checkout brings → what would change, and what speaks against it."""

from collections.abc import Iterator, Sequence

from packaging.version import Version

from hangar.upgrade import apt, pins
from hangar.upgrade.records import Facts, Group, Item, Lock, Pins, Plan, Refusal, Service, Wanted

AIRFLOW, CORE = "/opt/airflow/venv", "apache-airflow"
GUIDE = "docs/updates.md"
MENDED = "sudo apt-get --fix-broken install"
CHIEF = ("apache-airflow", "airbyte", "dbt-core", "dbt-postgres", "dlt")
"""Packages whose versions people know, and what begins with the first of them."""

PLATFORM, RELEASE = "platform", "release"
COPIED = "its database is copied first, on the machine"
NO_WAY_BACK = f"{COPIED}; it does not go back by itself"
ENDS = "containers stop and are made anew"
TITLES = {"airflow": "Airflow's image", "airbyte": "the embedded engine's image"}


def plan(facts: Facts, wanted: Wanted) -> Plan:
    """What `upgrade apply` would do, in its order. Nothing is changed by asking."""
    return Plan(
        groups=tuple(_groups(facts, wanted)),
        refusals=tuple(_refusals(facts, wanted)),
        warnings=tuple(_warnings(facts, wanted)),
        notes=tuple(_notes(facts, wanted)),
        way_back=tuple(_way_back(facts, wanted)),
        cut=facts.cut,
        made_from=facts.revision,
    )


def _groups(facts: Facts, wanted: Wanted) -> Iterator[Group]:
    yield from _debian(facts, wanted)
    for name in wanted.locks:
        if service := facts.services.get(name):
            yield from _image(name, service, wanted)
    if changes := tuple(_platform(facts, wanted)):
        effect = NO_WAY_BACK if facts.chart != wanted.chart else COPIED
        yield Group(PLATFORM, "Airbyte's platform", changes, effect)
    if wanted.revision and wanted.relation != "same":
        change = Item("revision", facts.revision or "not recorded", wanted.revision)
        yield Group("roles", "our own roles", (change,), "what each changes: ./provision.py plan")


def _debian(facts: Facts, wanted: Wanted) -> Iterator[Group]:
    found = apt.packages(facts.simulated)
    kinds = (
        ("security", "Debian's security updates", "", [one for one in found if one.security]),
        ("debian", "Debian packages", "", [one for one in found if not one.security]),
    )
    docker = [one for one in found if one.name in wanted.docker]
    for name, title, effect, packages in kinds:
        items = tuple(Item(one.name, one.old, one.new) for one in packages if one not in docker)
        if items:
            yield Group(name, title, items, effect)
    if docker:
        yield Group(
            "docker", "Docker's packages", tuple(Item(one.name, one.old, one.new) for one in docker),
            "all containers stop with their daemon and come back", tuple(one.name for one in docker),
        )  # fmt: skip


def _image(name: str, service: Service, wanted: Wanted) -> Iterator[Group]:
    """Python packages by their environment, then what else makes an image anew."""
    on = pins.markers(service)
    for folder, locks in wanted.locks[name].items():
        items = pins.differences(service.environments.get(folder, {}), pins.merged(locks, on))
        if items and service.running:
            title = f"{TITLES[name]}, {folder}"
            yield Group(name, title, items, ENDS, tuple(one.name for one in items if _is_chief(one.name)))
    if service.suite and service.suite != wanted.suites[name]:
        change = Item("Debian release", service.suite, wanted.suites[name])
        yield Group(name, f"{TITLES[name]}, Debian", (change,), ENDS, (change.name,))
    if service.outdated:
        change = Item("security updates", "without", "with them")
        yield Group("images", f"{TITLES[name]}: Debian's security updates", (change,), ENDS, (change.name,))
    elif service.waiting:
        change = Item("containers", "of earlier images or settings", "of those that are there")
        yield Group("images", f"{TITLES[name]}: containers that wait", (change,), ENDS, (change.name,))


def _platform(facts: Facts, wanted: Wanted) -> Iterator[Item]:
    """Its release, and which of its settings change; never what they say."""
    if not (facts.chart and wanted.chart):
        return
    if facts.chart != wanted.chart:
        yield Item(RELEASE, facts.chart, wanted.chart)
    old, new = facts.platform, wanted.platform
    if not (old and new):
        return
    if old.low_resource != new.low_resource:
        yield Item("low_resource", str(old.low_resource).lower(), str(new.low_resource).lower())
    if old.values != new.values:
        yield from _settings(old.settings, new.settings or {})


def _settings(old: Pins | None, new: Pins) -> Iterator[Item]:
    if old is None:
        yield Item("Helm values", "as installed (no record says which)", "as described")
        return
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield Item(name, "as installed" if name in old else "", "as described" if name in new else "")


def _is_chief(name: str) -> bool:
    return name in CHIEF or name.startswith("apache-airflow-providers-")


def _refusals(facts: Facts, wanted: Wanted) -> Iterator[Refusal]:
    if not facts.drains:
        yield Refusal(
            "the machine cannot keep new tasks from beginning: it was made before Hangar knew how",
            f"./provision.py up {wanted.environment}",
        )
    if wanted.relation == "older":
        yield Refusal(
            f"this checkout ({wanted.revision}) is older than what the machine was made from ({facts.revision})",
            "git pull",
        )
    # Whoever has begun has to be able to end, or to go back.
    if facts.apt_refusal and not facts.cut:
        yield Refusal(_no_packages(facts), f"./provision.py ssh {wanted.environment} -- {MENDED}")
    for name, there in facts.postgres.items():
        asked = wanted.postgres.get(name, there)
        if asked != there:
            yield Refusal(
                f"the data of {name} are of Postgres {there}, and {asked} is asked for: another major version reads "
                "them by a dump alone",
                f"{GUIDE}#another-major-version-of-postgres says how: a backup, then a new machine with its data",
            )
    if facts.chart and wanted.chart and pins.is_older(wanted.chart, facts.chart):
        yield Refusal(
            f"Airbyte's platform would go back from {facts.chart} to {wanted.chart}, "
            "and its database knows no way back",
            f"Describe {facts.chart} or newer (platform.yml: airbyte.abctl.chart)",
        )
    if facts.platform and wanted.platform and facts.platform.port != wanted.platform.port:
        yield Refusal(
            f"Airbyte's platform would move from port {facts.platform.port} to {wanted.platform.port}, and abctl keeps "
            "a cluster at the port that it was made with",
            f"Keep it (platform.yml: airbyte.port: {facts.platform.port}), or install it anew over its data: "
            f"{GUIDE}#another-port-for-airbytes-platform",
        )
    airflow = facts.services.get("airflow")
    if airflow and airflow.running:
        yield from _airflow_refusals(airflow, wanted)


def _no_packages(facts: Facts) -> str:
    reasons = "; ".join(apt.unmet(facts.simulated)) or facts.apt_refusal
    return f"apt-get upgrades nothing on the machine: {reasons}"


def _airflow_refusals(service: Service, wanted: Wanted) -> Iterator[Refusal]:
    on, locks = pins.markers(service), wanted.locks["airflow"]
    old, new = _core(service, locks[AIRFLOW])
    if old and new and pins.is_older(new, old):
        yield Refusal(
            f"Airflow would go back from {old} to {new}, and its database knows no way back",
            "Take a checkout that is not older than the machine's: git pull",
        )
    for folder, given in locks.items():
        if differing := pins.conflicts(given, on):
            yield Refusal(
                f"two locks of {folder} want different versions ({'; '.join(differing)})",
                f"uv pip compile --generate-hashes --python-version 3.13 --constraint {given[0].name} "
                f"requirements.in -o {given[1].name}",
            )
    added = {name for lock in locks[AIRFLOW][1:] for name in pins.read(lock.text, on)}
    for package, demand in sorted(service.limits.items()):
        # The platform's own lock was resolved as a whole; yours may hold a provider that knows no newer Airflow.
        if package in added and new and not pins.allows(demand, new):
            yield Refusal(
                f"{package} of {locks[AIRFLOW][1].name} wants {demand}, and Airflow would be {new}",
                f"Take a newer {package} into that lock, or leave it out",
            )


def _core(service: Service, locks: Sequence[Lock]) -> tuple[str, str]:
    """Airflow's version that runs, and the one that comes."""
    new = pins.merged(locks, pins.markers(service)).get(CORE, "")
    return service.environments.get(AIRFLOW, {}).get(CORE, ""), new


def _warnings(facts: Facts, wanted: Wanted) -> Iterator[str]:
    airflow = facts.services.get("airflow")
    for line in facts.lint:
        yield f"airflow config lint: {line}"
    if airflow and airflow.running:
        old, new = _core(airflow, wanted.locks["airflow"][AIRFLOW])
        if old and new and old != new:
            far = " (read its release notes first: more than a patch lies between them)" * pins.is_minor(
                old, new
            )
            yield f"Airflow's database is migrated for {new}{far}"
            if Version(new).major != Version(old).major:
                yield f"{new} is another major version than {old}: DAGs may have to be written anew"
    for name, service in facts.services.items():
        if service.suite and service.suite != wanted.suites.get(name, service.suite):
            yield f"the Python of {TITLES[name]} changes with Debian's release (now {service.python})"
    if wanted.relation == "apart":
        yield f"this checkout lacks something that the machine was made from ({facts.revision}): it may be taken back"
    if facts.apt_problem:
        yield f"Debian's lists could not be fetched, so that they may be old: {facts.apt_problem}"
    if facts.apt_refusal and facts.cut:
        yield _no_packages(facts)
    if facts.cut and not facts.cut.held:
        yield f"the upgrade of {facts.cut.since} was cut short, and tasks have begun since: they would not be undone"


def _notes(facts: Facts, wanted: Wanted) -> Iterator[str]:
    if back := apt.kept_back(facts.simulated):
        yield f"Debian packages that stay: {', '.join(back)} (held, or others would have to go)"
    for name in wanted.locks:
        service = facts.services.get(name)
        if service and not service.running:
            yield f"what {name} runs cannot be told: its containers do not answer"
    if facts.reboot:
        yield "an earlier update waits for a reboot: it comes in the window (updates.window)"


def _way_back(facts: Facts, wanted: Wanted) -> Iterator[str]:
    """Said before anybody agrees: another release migrates the database of Airbyte's platform for good."""
    if not (facts.chart and wanted.chart) or facts.chart == wanted.chart:
        return
    yield (
        f"Airbyte {wanted.chart} migrates its database, which {facts.chart} does not read afterwards: whatever fails, "
        "this does not go back by itself. What brings it back, with all data as the backup has them:"
    )
    yield from return_of_platform(wanted.environment, facts.chart, "ID")
    if wanted.platform and wanted.platform.external:
        yield "its database is in a Postgres of yours, which no backup of Hangar's has: copy it yourself, now"


def return_of_platform(environment: str, chart: str, backup: str) -> Iterator[str]:
    """The commands, in their order. `backup` is the one that was made before the upgrade, "" where none was."""
    yield f"./provision.py ssh {environment} -- sudo airbyte-abctl uninstall --data"
    yield f"./provision.py up {environment}      # with airbyte.abctl.chart: {chart} in platform.yml"
    if backup:
        yield f"./provision.py backup restore {environment} --from {backup}"
    else:
        yield "and, for want of a backup, the copy in /srv/airbyte/backups by hand (pg_dumpall's)"
