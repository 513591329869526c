"""What the machine costs a month, before and after: from a dated table and the prices that platform.yml names."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from hangar.cloud.gcp.names import last
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import Wanted
from hangar.config.gcp import Prices
from hangar.plan import Cost

TABLE = Path(__file__).with_name("prices.yml")
HOURS = 730
"""In a month, as Google counts."""

STANDARD = re.compile(r"([a-z0-9]+)-standard-(\d+)")


@dataclass(frozen=True)
class Table:
    """The prices of a region; `as_of` is the day of the oldest of them."""

    as_of: str
    currency: str
    region: str
    standard_vcpu_hour: dict[str, float]
    disk_gib_month: dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """What is paid for: a machine type (None: none runs), and disks as (what, type, GiB)."""

    machine_type: str | None
    disks: tuple[tuple[str, str, int], ...]


def load(region: str) -> Table:
    """What is known of a region; of one that the table does not have, nothing: another one's prices are not its own."""
    found = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    prices = {name: found[name].get(region, {}) for name in ("standard_vcpu_hour", "disk_gib_month")}
    return Table(found["as_of"], found["currency"], region, **prices)


def estimate(wanted: Wanted, existing: Existing) -> Cost:
    """The difference that the plan makes, with what the sum leaves out."""
    table, own = load(wanted.names.region), wanted.gcp.prices
    after, unknown = items(sizes_wanted(wanted), table, own)
    there = sizes_existing(existing)
    before, unknown_before = items(there, table, own)
    return Cost(
        before=_sum(before, unknown_before) if there.machine_type or there.disks else None,
        after=_sum(after, unknown),
        currency=currency(table, own),
        note=_note(table, own, list(dict.fromkeys([*unknown, *unknown_before]))),
        items=tuple(after),
        unpriced_before=tuple(unknown_before),
        unpriced=tuple(unknown),
    )


def _sum(found: list[tuple[str, float]], unknown: list[str]) -> float | None:
    """A sum that leaves a part out would look like a saving."""
    return None if unknown else sum(price for _, price in found)


def currency(table: Table, own: Prices) -> str:
    """What the figures are in: the table's as long as platform.yml names no price."""
    return own.currency if own.machine_hour or own.disk_gib_month else table.currency


def sizes_wanted(wanted: Wanted) -> Sizes:
    gcp = wanted.gcp
    disks = (
        ("boot disk", gcp.boot_disk_type, gcp.boot_disk_gb),
        ("data disk", gcp.data_disk.type, gcp.data_disk.size_gb),
    )
    return Sizes(gcp.machine_type, disks)


def sizes_existing(existing: Existing) -> Sizes:
    """A stopped machine costs its disks alone."""
    found = {"boot disk": existing.boot_disk, "data disk": existing.data_disk}
    disks = tuple((what, last(disk["type"]), int(disk["sizeGb"])) for what, disk in found.items() if disk)
    instance = existing.instance
    runs = instance is not None and instance.get("status") not in ("TERMINATED", "STOPPED", "SUSPENDED")
    return Sizes(last(instance["machineType"]) if instance and runs else None, disks)


def items(sizes: Sizes, table: Table, own: Prices) -> tuple[list[tuple[str, float]], list[str]]:
    """(what, price of a month) of all that has a price, and the types that have none. The table's prices are no prices
    in another currency.
    """
    found: list[tuple[str, float]] = []
    unknown = []
    if not _counts(table, own):
        table = replace(table, standard_vcpu_hour={}, disk_gib_month={})
    if sizes.machine_type:
        hour = own.machine_hour.get(sizes.machine_type, standard(sizes.machine_type, table))
        if hour is None:
            unknown.append(f"machine_hour.{sizes.machine_type}")
        else:
            found.append((f"machine {sizes.machine_type}", hour * HOURS))
    for what, kind, gib in sizes.disks:
        price = own.disk_gib_month.get(kind, table.disk_gib_month.get(kind))
        if price is None:
            unknown.append(f"disk_gib_month.{kind}")
        else:
            found.append((f"{what}, {gib} GiB {kind}", price * gib))
    return found, list(dict.fromkeys(unknown))


def _counts(table: Table, own: Prices) -> bool:
    return currency(table, own) == table.currency


def standard(machine_type: str, table: Table) -> float | None:
    """The price of an hour of a standard shape, which grows with its vCPUs."""
    match = STANDARD.fullmatch(machine_type)
    vcpu = table.standard_vcpu_hour.get(match[1]) if match else None
    return vcpu * int(match[2]) if match and vcpu is not None else None


def source(table: Table, own: Prices) -> str:
    """Whose prices a sum is of: another region's, and of some day, as long as platform.yml names none."""
    ours = f"list prices of {table.region} of {table.as_of}"
    if own.machine_hour or own.disk_gib_month:
        return f"your prices, else {ours}" if _counts(table, own) else "your prices"
    return ours


def _note(table: Table, own: Prices, missing: list[str]) -> str:
    left_out = f"; no price for {', '.join(missing)}: add to gcp.prices" if missing else ""
    return f"{source(table, own)}; traffic, NAT, logs and snapshots come on top{left_out}"
