"""The list `people` of platform.yml: who works on the machine, with which keys, and as what."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, field_validator

from hangar.config.fields import Section, all_wrong, quoted, setting, wrong
from hangar.config.public_keys import BadKey, parse

KEY_RIGHT = "a line such as ssh-ed25519 AAAA… (also sk-…, or RSA of 3072 bits and more)"
HARDWARE_RIGHT = "a key made by ssh-keygen -t ed25519-sk"

SERVICES = (
    "airflow", "airbyte", "airbyte-filter", "warehouse", "monitoring", "ops-agent", "people", "dags",
)  # fmt: skip
"""Accounts and groups that Hangar makes, on this machine or on another kind. People and the operator come before most
services: an account that a service wants later would be theirs, and the service run with all that they may.
"""

AIRFLOW_ADMIN = "admin"
"""Airflow's own account, where people get theirs."""

SYSTEM = frozenset(
    [
        "adm", "audio", "backup", "bin", "cdrom", "chrony", "clock", "crontab", "daemon", "dialout",
        "dip", "disk", "docker", "fax", "floppy", "games", "gnats", "input", "irc", "kmem", "kvm",
        "list", "lp", "mail", "man", "messagebus", "netdev", "news", "nobody", "nogroup", "operator",
        "plugdev", "polkitd", "postgres", "prometheus", "proxy", "render", "root", "sasl", "sgx",
        "shadow", "src", "ssh", "sshd", "ssl-cert", "staff", "sudo", "sync", "sys", "syslog", "tape",
        "tcpdump", "tss", "tty", "users", "utmp", "uucp", "uuidd", "video", "voice", "www-data",
    ]
)  # fmt: skip
"""Users and groups of Debian 13 and of the packages that the machine has; an account brings a group of its name."""

SYSTEM_PREFIXES = ("systemd-", "hangar-", "google-")


def is_taken(name: str) -> bool:
    """Whether the machine has, or gets, an account or group of this name that is nobody's to log in with."""
    return name in SERVICES or name in SYSTEM or name.startswith(SYSTEM_PREFIXES)


FIRST_DAY = date(2026, 1, 1)
"""Nobody has had a day before: an older date is a slip of the pen, and would lock somebody out from the start. It does
not move with the calendar, so that a file that was right is never refused because somebody's day lies far back.
"""

Role = Literal["admin", "developer", "viewer"]
AirflowRole = Literal["Admin", "Op", "User", "Viewer", "none"]

AIRFLOW_ROLES: dict[Role, AirflowRole] = {"admin": "Admin", "developer": "Op", "viewer": "Viewer"}


def today() -> date:
    """The day in UTC, by which the machine counts too."""
    return datetime.now(UTC).date()


def read_date(value: object) -> date:
    """A date as YAML reads it, or the same in quotes."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value.strip())
        except ValueError:
            raise wrong(f"{quoted(value[:40])} is not a date") from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise wrong(f"{quoted(str(value)[:40])} is not a date")
    return value


def _not_ancient(value: date) -> date:
    if value < FIRST_DAY:
        raise wrong(f"{value} is long past")
    return value


def _keys(value: Any) -> Any:
    """Each key in its one form. What is no key is never repeated: it could be a private one."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise wrong("there is no key" if value in (None, []) else "this is not a list of keys")
    found: list[str] = []
    problems: list[tuple[str, str, str]] = []
    for number, line in enumerate(value):
        try:
            key = parse(line if isinstance(line, str) else "")
            found.append(str(key))
        except BadKey as error:
            problems.append((str(error), str(number), ""))
            continue
        if [str(parse(one)).split()[1] for one in found].count(str(key).split()[1]) > 1:
            problems.append(("is given twice", str(number), "each key once"))
    if problems:
        raise all_wrong(problems)
    return tuple(found)


Keys = Annotated[
    tuple[str, ...],
    BeforeValidator(_keys),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1}),
]
Expiry = Annotated[
    date,
    BeforeValidator(read_date),
    AfterValidator(_not_ancient),
    WithJsonSchema({"type": "string", "format": "date"}),
]


class Person(Section):
    """A person with an account of their own on the machine."""

    name: str = setting(
        ...,
        "The account's name.",
        "a lower-case account name such as ana",
        pattern=r"^[a-z][a-z0-9_-]{0,30}$",
    )
    keys: Keys = setting(..., "The person's public keys.", KEY_RIGHT)
    role: Role = setting(
        ..., "admin: everything, by sudo; developer: DAGs, logs and the hangar-… commands; viewer: looks on.",
        "admin, developer or viewer",
    )  # fmt: skip
    expires: Expiry | None = setting(
        None, "The first day (UTC) on which the person is let in no more.", "a date such as 2027-03-31"
    )
    email: str | None = setting(
        None, "The person's address, for Airflow.", "an address such as ana@example.org",
        pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}$",
    )  # fmt: skip
    airflow: AirflowRole | None = setting(
        None, "The person's role in Airflow; null means Admin, Op or Viewer, by the role. none = no account there.",
        "Admin, Op, User, Viewer, none or null",
    )  # fmt: skip

    @field_validator("name")
    @classmethod
    def _of_ones_own(cls, value: str) -> str:
        if is_taken(value) or value == AIRFLOW_ADMIN:
            raise wrong(f'"{value}" is taken on the machine', right="another name")
        return value

    @property
    def is_expired(self) -> bool:
        return self.expires is not None and self.expires <= today()

    @property
    def airflow_role(self) -> AirflowRole:
        return self.airflow or AIRFLOW_ROLES[self.role]


def operators(people: Iterable[Person]) -> list[Person]:
    """The admins whose day has not come: each may run Hangar, from a computer and with a key of their own."""
    return [person for person in people if person.role == "admin" and not person.is_expired]


def _as_people(value: Any) -> Any:
    return () if value is None else tuple(value) if isinstance(value, list) else value


People = Annotated[tuple[Person, ...], BeforeValidator(_as_people)]


def check(people: tuple[Person, ...], others: dict[str, Any]) -> tuple[Person, ...]:
    """What only shows when all are seen together, and beside the settings that come before.

    Raises:
        PydanticCustomError: with everything that collides.
    """
    found = [
        *_names(people, others),
        *_shared_keys(people),
        *_shared_addresses(people),
        *_soft_keys(people, others),
    ]
    if found:
        raise all_wrong(found)
    return people


Found = Iterator[tuple[str, str, str]]


def _names(people: tuple[Person, ...], others: dict[str, Any]) -> Found:
    sections = (("access", "admin"), ("existing", "user"))
    accounts = {getattr(others.get(name), key, None): f"{name}.{key}" for name, key in sections}
    seen: dict[str, int] = {}
    for number, person in enumerate(people):
        if person.name in accounts:
            yield f'"{person.name}" is {accounts[person.name]} too', f"{number}.name", "another name"
        if person.name in seen:
            first = seen[person.name]
            yield f'"{person.name}" is people.{first} too', f"{number}.name", "a name of their own"
        seen.setdefault(person.name, number)


def _shared_keys(people: tuple[Person, ...]) -> Found:
    """A key that two people have tells nobody who came in, and outlives the one who leaves."""
    owners: dict[bytes, int] = {}
    for number, person in enumerate(people):
        for place, key in enumerate(person.keys):
            owner = owners.setdefault(parse(key).blob, number)
            if owner != number:
                yield f"is people.{owner}'s key too", f"{number}.keys.{place}", "a key of their own"


def _shared_addresses(people: tuple[Person, ...]) -> Found:
    """Airflow gives an address to one account, and Google's tunnel would stay open for the one who leaves.
    Whose day has come holds none: they may be back under another name.
    """
    owners: dict[str, int] = {}
    for number, person in enumerate(people):
        if not person.email or person.is_expired:
            continue
        owner = owners.setdefault(person.email.lower(), number)
        if owner != number:
            yield f"is people.{owner}'s address too", f"{number}.email", "an address of their own"


def _soft_keys(people: tuple[Person, ...], others: dict[str, Any]) -> Found:
    """Whoever's day has come opens nothing by any key."""
    if getattr(others.get("access"), "admin_keys", "any") != "hardware":
        return
    for number, person in enumerate(people):
        for place, key in enumerate(person.keys):
            if person.role == "admin" and not person.is_expired and not parse(key).is_hardware:
                what = "is no hardware key, and access.admin_keys asks for one"
                yield what, f"{number}.keys.{place}", HARDWARE_RIGHT
