"""The section `gcp` of platform.yml: where on Google Cloud the machine stands, and what it is made of."""

import re
from ipaddress import ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, field_validator
from pydantic_core.core_schema import ValidationInfo

from hangar.config.fields import (
    Names,
    Network,
    Section,
    all_wrong,
    check_each,
    empty_if_none,
    section,
    setting,
    wrong,
)
from hangar.config.gcp_fit import misfits

NAME = r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?"
"""Of a Compute Engine resource (RFC 1035)."""

PROJECT = r"^[a-z][-a-z0-9]{4,28}[a-z0-9]$"
ZONE = r"^[a-z]+-[a-z]+[0-9]+-[a-z]$"
RESERVED_LABELS = ("hangar",)
MAX_LABELS = 60
"""Google allows 64 a resource; the rest are Hangar's own."""


class DataDisk(Section):
    """The disk mounted at /srv. It outlives the machine."""

    size_gb: int = setting(
        100, "Its size in GiB. It can grow later, never shrink.", "a whole number from 10 to 65536", ge=10, le=65536
    )  # fmt: skip
    type: str = setting(
        "pd-balanced", "Its type; choose once.", "a disk type such as pd-balanced or pd-ssd",
        pattern=r"^(pd|hyperdisk)-[a-z-]{1,40}$",
    )  # fmt: skip


class Net(Section):
    """The machine's network: one that Hangar makes, or one of yours."""

    existing: str | None = setting(
        None, "A VPC network of the project that is there already; null means that Hangar makes one.",
        "the name of a network in the project, or null", pattern=f"^{NAME}$",
    )  # fmt: skip
    subnetwork: str | None = setting(
        None, "Its subnetwork in the machine's region, which must have a way out (Cloud NAT).",
        "the name of a subnetwork, or null", pattern=f"^{NAME}$", validate_default=True,
    )  # fmt: skip
    cidr: Network = setting(
        "10.70.0.0/24",
        "The addresses of the network that Hangar makes.",
        "a private network such as 10.70.0.0/24",
    )

    @field_validator("subnetwork")
    @classmethod
    def _belongs_to_one(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "existing" in info.data and (value is None) != (info.data["existing"] is None):
            what = "is missing" if value is None else f'"{value}" belongs to no network'
            right = "the subnetwork of that network" if value is None else "network.existing beside it"
            raise wrong(what, right=right)
        return value

    @field_validator("cidr")
    @classmethod
    def _private(cls, value: str) -> str:
        network = ip_network(value)
        if network.version != 4 or not network.is_private:
            raise wrong(f'"{value}" is not a private IPv4 network')
        if not 8 <= network.prefixlen <= 29:
            raise wrong(f'"{value}" has the wrong size', right="a mask from /8 to /29")
        return value


class SnapshotSchedule(Section):
    """Daily snapshots of the data disk."""

    at: str = setting(
        "03:00",
        "When one starts, in UTC.",
        'a full hour in quotes, such as "03:00"',
        pattern=r"^([01]\d|2[0-3]):00$",
    )
    keep_days: int = setting(
        14, "For how many days one is kept.", "a whole number from 1 to 365", ge=1, le=365
    )


def _prices(value: dict[str, float]) -> dict[str, float]:
    found = [
        (f"{price:g} is no price", name, "a number from 0 up") for name, price in value.items() if price < 0
    ]
    if found:
        raise all_wrong(found)
    return value


PriceList = Annotated[dict[str, float], BeforeValidator(empty_if_none), AfterValidator(_prices)]


class Prices(Section):
    """Prices of your own, stronger than Hangar's table (hangar/cloud/gcp/prices.yml)."""

    currency: str = setting(
        "USD",
        "What they are in; the table is in USD, and counts for nothing in another currency.",
        "three capital letters",
        pattern=r"^[A-Z]{3}$",
    )
    machine_hour: PriceList = setting(
        {}, "Machine type -> price of an hour.", "lines such as e2-standard-4: 0.134"
    )
    disk_gib_month: PriceList = setting(
        {}, "Disk type -> price of a GiB for a month.", "lines such as pd-balanced: 0.1"
    )


def _labels(value: dict[str, str]) -> dict[str, str]:
    """What Google allows; keys that begin with hangar are ours."""
    found = []
    for key, text in value.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key):
            found.append(("is not a label's name", key, "small letters, digits, _ and -"))
        elif key.partition("-")[0] in RESERVED_LABELS:
            found.append(("is a label of Hangar's own", key, "another name"))
        elif not re.fullmatch(r"[a-z0-9_-]{0,63}", text):
            found.append((f'"{text}" is not a label\'s value', key, "small letters, digits, _ and -"))
    if len(value) > MAX_LABELS:
        found.append((f"{len(value)} labels are too many", "", f"at most {MAX_LABELS}"))
    if found:
        raise all_wrong(found)
    return value


Labels = Annotated[dict[str, str], BeforeValidator(empty_if_none), AfterValidator(_labels)]

Tunnel = Literal["auto", "gcloud", "relay"]

ENDPOINT = "an address such as https://{api}-hangar.p.googleapis.com, or null"


class Gcp(Section):
    """Google Cloud, where `cloud` is gcp."""

    project: str | None = setting(
        None,
        "The id of your project.",
        "the id of your Google Cloud project, such as acme-data-1",
        pattern=PROJECT,
    )
    zone: str | None = setting(
        None, "The zone that the machine stands in.", "a zone such as europe-west6-a", pattern=ZONE
    )
    machine_type: str = setting(
        "e2-standard-4", "The machine type. A change stops the machine for a few minutes.",
        "a machine type such as e2-standard-4", pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$",
    )  # fmt: skip
    image_family: str = setting(
        "debian-13", "The image family of the boot disk, resolved when the machine is made.",
        "an image family such as debian-13", pattern=f"^{NAME}$",
    )  # fmt: skip
    image_project: str = setting(
        "debian-cloud",
        "The project that the images come from.",
        "a project id such as debian-cloud",
        pattern=PROJECT,
    )
    image: str | None = setting(
        None, "One exact image instead of the family's newest. A change makes the machine anew.",
        "an image's name, or null", pattern=f"^{NAME}$",
    )  # fmt: skip
    boot_disk_gb: int = setting(
        30, "The boot disk's size in GiB. It can grow later, never shrink.", "a whole number from 10 to 2048",
        ge=10, le=2048,
    )  # fmt: skip
    boot_disk_type: str = setting(
        "pd-balanced", "The boot disk's type. A change makes the machine anew.",
        "a disk type such as pd-balanced", pattern=r"^(pd|hyperdisk)-[a-z-]{1,40}$",
    )  # fmt: skip
    data_disk: DataDisk = section(DataDisk)
    network: Net = section(Net)
    kms_key: str | None = setting(
        None, "Your own key for both disks; choose once.",
        "projects/P/locations/L/keyRings/R/cryptoKeys/K, or null",
        pattern=r"^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$",
    )  # fmt: skip
    service_roles: Names = setting(
        (), "More project roles for the machine's service account, beside writing logs and metrics.",
        "a list of roles such as roles/bigquery.jobUser",
    )  # fmt: skip
    snapshot_schedule: SnapshotSchedule = section(SnapshotSchedule)
    labels: Labels = setting({}, "More labels for what is made.", "lines such as team: data")
    prices: Prices = section(Prices)
    api_endpoint: str | None = setting(
        None, "Where Google's APIs are reached, such as a private endpoint; {api} stands for compute, iam, …",
        ENDPOINT,
    )  # fmt: skip
    lock_bucket: str | None = setting(
        None,
        "The bucket that says who is at work, where a stranger has hangar-PROJECT-locks. The same for all who work on "
        "the environment.",
        "a bucket's name of 3 to 63 small letters, digits and -, or null",
        pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$",
    )
    tunnel: Tunnel = setting(
        "auto",
        "The program that makes the IAP tunnel: gcloud, with gcloud's own login; relay = Hangar's, with the login that "
        "Hangar itself uses; auto = gcloud where it is installed and logged in and GOOGLE_APPLICATION_CREDENTIALS is "
        "not set, else the relay.",
        "auto, gcloud or relay",
    )
    tunnel_endpoint: str | None = setting(
        None, "Where the IAP tunnel is reached.", "an address such as wss://tunnel.cloudproxy.app, or null"
    )

    @field_validator("service_roles")
    @classmethod
    def _roles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_each(value, r"(roles|projects/[^/]+/roles|organizations/[0-9]+/roles)/[A-Za-z0-9_.]+", "a role")
        for number, role in enumerate(value):
            if role in ("roles/owner", "roles/editor", "roles/viewer"):
                raise wrong(
                    f'"{role}" is a basic role and far too wide', str(number), "a role for one purpose"
                )
        return value

    @field_validator("api_endpoint")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        return _address(value, ("https", "http"))

    @field_validator("tunnel_endpoint")
    @classmethod
    def _websocket(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("tunnel") == "gcloud":
            raise wrong("gcloud takes no endpoint of your own", right="tunnel: auto or relay beside it")
        return _address(value, ("wss", "ws"))

    @property
    def region(self) -> str:
        """The zone's."""
        return (self.zone or "").rpartition("-")[0]


def _address(value: str | None, schemes: tuple[str, str]) -> str | None:
    """In clear only to this computer itself."""
    if value is None:
        return None
    secure, clear = schemes
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise wrong(f'"{value}" is not such an address')
    if parts.scheme == clear and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise wrong(f'"{value}" would send your credentials in clear', right=f"{secure}://{parts.hostname}")
    return value.rstrip("/")


def check(value: Gcp, others: dict[str, Any]) -> Gcp:
    """What the machine needs where it stands on Google Cloud, and what means nothing there."""
    if others.get("cloud") != "gcp":
        return value
    found = [("is missing", name, "") for name in ("project", "zone") if getattr(value, name) is None]
    found += misfits(value)
    if found:
        raise all_wrong(found)
    return value
