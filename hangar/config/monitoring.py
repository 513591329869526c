"""The section `monitoring` of platform.yml: what is kept, where, from when on it warns, and who is told."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, field_validator, model_validator

from hangar.config.fields import Section, Size, all_wrong, empty_if_none, section, setting, wrong

PORT = {"ge": 1024, "le": 65535}
SMALLEST = 512 * 2**20
"""Bytes that figures need at least: Prometheus keeps what is newest in pieces of up to 128 MB."""


def _percent(default: int, of: str) -> Any:
    return setting(default, f"Per cent of {of}.", "a percentage from 1 to 100", ge=1, le=100)


class Warn(Section):
    """From where on `status` and the alerts warn."""

    cpu: int = _percent(90, "the CPUs in use")
    memory: int = _percent(90, "the memory in use")
    disk: int = _percent(80, "the fullest disk")


def _levels(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


CHANNEL = r"^projects/[a-z][-a-z0-9]{4,28}[a-z0-9]/notificationChannels/[0-9]{1,30}$"
"""A notification channel of Cloud Monitoring, as `gcloud beta monitoring channels list` names it."""


TAKEN = ("admin_password", "scraper_password")
"""Secrets of the machine's own, which lie beside those of receivers: no receiver is to be given them."""


class Receiver(Section):
    """Who is told of an alert, and how. Its secret is the name of a file on the machine, never the secret itself.
    One of kind `google` is told by Cloud Monitoring, every other by the machine.
    """

    kind: Literal["slack", "email", "webhook", "google"] = setting(
        ..., "How.", "slack, email, webhook or google"
    )
    secret: str | None = setting(
        None, "The name of the secret on the machine: the URL (slack, webhook) or the password (email).",
        "a name of letters, digits and _", pattern=r"^[A-Za-z0-9_]{1,64}$",
    )  # fmt: skip
    levels: Annotated[tuple[Literal["critical", "warning", "grow"], ...], BeforeValidator(_levels)] = setting(
        ("critical", "warning"), "Which alerts.", "a list of critical, warning and grow", min_length=1
    )
    channel: str | None = setting(
        None, "Slack: another channel than the URL's own. Google: a notification channel that is there already.",
        "a channel such as #data, or projects/PROJECT/notificationChannels/NUMBER",
    )  # fmt: skip
    to: str | None = setting(
        None,
        "E-mail, or Google in place of a channel: whom to write to.",
        "an address such as data@example.org",
    )
    from_: str | None = setting(
        None, "E-mail: who writes.", "an address such as hangar@example.org", alias="from"
    )
    server: str | None = setting(
        None, "E-mail: the server that takes it, with STARTTLS.", "a host and port such as smtp.example.org:587",
        pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
    )  # fmt: skip
    login: str | None = setting(None, "E-mail: the account there.", "a user name")

    @field_validator("secret")
    @classmethod
    def _of_its_own(cls, value: str | None) -> str | None:
        if value in TAKEN:
            raise wrong(f'"{value}" is a password of the monitoring\'s own', "", "another name")
        return value

    @model_validator(mode="after")
    def _complete(self) -> "Receiver":
        if self.kind == "google":
            return _at_google(self)
        needed = ["to", "from_", "server"] if self.kind == "email" else ["secret"]
        needed += ["secret"] if self.kind == "email" and self.login else []
        found = [("is missing", name.rstrip("_"), "") for name in needed if getattr(self, name) is None]
        if found:
            raise all_wrong(found)
        return self


def _at_google(value: Receiver) -> Receiver:
    """An address or a channel; Google needs no secret of ours for either."""
    if (value.to is None) == (value.channel is None):
        raise wrong(
            "kind: google takes either `to` or `channel`", "", "an address, or a channel that is there"
        )
    found = [
        ("means nothing with kind: google", name.rstrip("_"), "leaving it out")
        for name in ("secret", "from_", "server", "login")
        if getattr(value, name) is not None
    ]
    if value.to is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value.to):
        found.append((f'"{value.to}" is no address', "to", "an address such as data@example.org"))
    if value.channel is not None and not re.fullmatch(CHANNEL, value.channel):
        right = "projects/PROJECT/notificationChannels/NUMBER (gcloud beta monitoring channels list)"
        found.append((f'"{value.channel}" is no notification channel', "channel", right))
    if found:
        raise all_wrong(found)
    return value


def _names(value: dict[str, Receiver]) -> dict[str, Receiver]:
    for name in value:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", name) or name == "nobody":
            raise wrong(f'"{name}" is not a name for a receiver', name, "small letters, digits, _ and -")
    return value


Receivers = Annotated[dict[str, Receiver], BeforeValidator(empty_if_none), AfterValidator(_names)]


def _room(value: int) -> int:
    if value < SMALLEST:
        raise wrong("less than 512 MiB cannot hold the newest figures")
    return value


Room = Annotated[
    Size,
    AfterValidator(_room),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(MiB|GiB|TiB)$"}),
]


class Monitoring(Section):
    """What watches the machine and the platform, and who is told."""

    backend: Literal["prometheus", "google"] = setting(
        "prometheus",
        "prometheus = figures, logs and alerts stay on the machine; google = they go to Google Cloud too "
        "(the Ops Agent, alert policies and a dashboard).",
        "prometheus or google",
    )
    port: int = setting(9100, "The node exporter's port, on loopback.", "a port from 1024 to 65535", **PORT)
    page: int = setting(
        9090, "The dashboard's port on the machine's loopback and, through SSH, on yours.",
        "a port from 1024 to 65535", **PORT,
    )  # fmt: skip
    days: int = setting(15, "For how many days figures are kept.", "a number from 1 to 365", ge=1, le=365)
    room: Room = setting(
        2 * 2**30, "How much room they may take; the oldest go first.", "a size from 512MiB up, such as 2GiB"
    )
    warn: Warn = section(Warn)
    alerts: Receivers = setting({}, "Who is told of alerts, by a name of your own.", "receivers by name")

    @field_validator("page")
    @classmethod
    def _apart(cls, value: int, info: Any) -> int:
        if value == info.data.get("port"):
            raise wrong(f"{value} is the node exporter's port too", "", "a port of its own")
        return value


def check(value: Monitoring, before: Mapping[str, Any]) -> Monitoring:
    """What the section takes beside what came before it in the file."""
    cloud = before.get("cloud")
    if value.backend == "google" and cloud not in ("gcp", None):
        raise wrong(
            f"google means nothing with cloud: {cloud} (the machine has no account at Google, and a key file there "
            "would be one more secret)",
            "backend", "prometheus",
        )  # fmt: skip
    told = [name for name, one in value.alerts.items() if one.kind == "google"]
    if told and value.backend != "google":
        right = "backend: google, or slack, email or webhook"
        what = "google tells nobody with backend: prometheus"
        raise all_wrong([(what, f"alerts.{name}.kind", right) for name in told])
    return value
