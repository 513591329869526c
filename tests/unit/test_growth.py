from collections.abc import Callable

import pytest

from hangar.config import Config
from hangar.growth import next_type, wishes
from hangar.watched import Alert, moment

LISTED = "list prices of europe-west6 of 2026-07-30"
Make = Callable[..., Config]
GCP = ("cloud=gcp", "gcp.project=my-project-1", "gcp.zone=europe-west6-a")


def alert(resource: str, hour: int = 6, place: str = "/srv") -> Alert:
    labels = {"resource": resource} | ({"mountpoint": place} if resource == "disk" else {})
    return Alert("Wants", "grow", moment(f"2026-11-25T{hour:02}:00:00Z"), f"{resource} is short.", "", labels)


def test_a_larger_machine_type_serves_cpu_and_memory_and_has_a_price(make_config: Make) -> None:
    (wish,) = wishes((alert("memory", 7), alert("cpu", 5)), make_config(*GCP))
    assert (wish.resource, wish.since.hour, wish.fits) == ("cpu", 5, "gcp.machine_type: e2-standard-8")
    assert wish.change == f"256 USD a month instead of 128; {LISTED}"


def test_a_disk_grows_by_half(make_config: Make) -> None:
    data, boot = wishes((alert("disk"), alert("disk", place="/")), make_config(*GCP))
    assert (data.fits, data.change) == (
        "gcp.data_disk.size_gb: 150",
        f"20 USD a month instead of 13; {LISTED}",
    )
    assert boot.fits == "gcp.boot_disk_gb: 50"


def test_the_users_own_prices_count(make_config: Make) -> None:
    own = "gcp.prices={currency: CHF, machine_hour: {e2-standard-4: 0.1, e2-standard-8: 0.2}}"
    (wish,) = wishes((alert("cpu"),), make_config(*GCP, own))
    assert wish.change == "146 CHF a month instead of 73; your prices"


def test_what_has_no_price_is_said_without_one(make_config: Make) -> None:
    (wish,) = wishes((alert("cpu"),), make_config(*GCP, "gcp.machine_type=c3-standard-4"))
    assert (wish.fits, wish.change) == ("gcp.machine_type: c3-standard-8", "")
    (wish,) = wishes((alert("cpu"),), make_config(*GCP, "gcp.machine_type=e2-custom-4-8192"))
    assert wish.fits == "a machine type with twice the vCPUs and memory of e2-custom-4-8192"


def test_no_machine_type_is_named_that_there_is_not(make_config: Make) -> None:
    """Of a family whose shapes are not known none is guessed: it may have others, or another processor."""
    (wish,) = wishes(
        (alert("cpu"),),
        make_config(*GCP, "gcp.machine_type=t2a-standard-48", "gcp.image_family=debian-13-arm64"),
    )
    assert wish.fits == "a machine type with twice the vCPUs and memory of t2a-standard-48"
    (wish,) = wishes((alert("cpu"),), make_config(*GCP, "gcp.machine_type=t2d-standard-60"))
    assert wish.fits == "a machine type larger than t2d-standard-60, of another family"


@pytest.mark.parametrize(
    ("kind", "larger"),
    [
        (("e2", 4), "e2-standard-8"),
        (("e2", 32), "n2-standard-48"),
        (("n2", 128), ""),
        (("n2d", 128), "n2d-standard-224"),
        (("c3", 8), "c3-standard-22"),
        (("n1", 32), "n1-standard-64"),
        (("c4a", 8), ""),
    ],
)
def test_the_next_shape(kind: tuple[str, int], larger: str) -> None:
    assert next_type(*kind) == larger


def test_a_container_gets_a_larger_share_while_there_is_one(make_config: Make) -> None:
    shared = make_config("machine.cpus=2.0", "machine.memory=6GiB")
    fits = [wish.fits for wish in wishes((alert("cpu"), alert("memory"), alert("disk")), shared)]
    assert fits == ["machine.cpus: 4", "machine.memory: 12GiB", "a larger disk under /srv"]
    (wish,) = wishes((alert("cpu"),), make_config())
    assert wish.fits.startswith("a computer with more CPUs")


def test_a_virtual_machine_grows_by_its_own_settings(make_config: Make) -> None:
    shared = make_config("cloud=vm", "machine.cpus=2", "machine.memory=6GiB")
    alerts = (alert("cpu"), alert("memory"), alert("disk"), alert("disk", place="/"))
    fits = [wish.fits for wish in wishes(alerts, shared)]
    assert fits == ["machine.cpus: 4", "machine.memory: 12GiB", "vm.data_disk_gb: 90", "vm.boot_disk_gb: 30"]


def test_other_alerts_are_no_wishes(make_config: Make) -> None:
    assert wishes((Alert("DiskFull", "critical", alert("cpu").since, "", "", {}),), make_config()) == ()
