"""The section `vm` of platform.yml: a virtual machine on this computer."""

from hangar.config.fields import Section, setting, wrong


class Vm(Section):
    """A virtual machine on this computer, where `cloud` is vm."""

    boot_disk_gb: int = setting(
        20, "The system disk, in GiB. It takes room as it fills, may grow and never shrinks.",
        "a whole number from 8 to 1024", ge=8, le=1024,
    )  # fmt: skip
    data_disk_gb: int = setting(
        60, "The disk at /srv, which outlives the system disk, in GiB. It takes room as it fills, may grow and "
        "never shrinks.",
        "a whole number from 10 to 16384", ge=10, le=16384,
    )  # fmt: skip


def check_machine(value: Section) -> Section:
    """A virtual machine has whole processors."""
    cpus = getattr(value, "cpus", None)
    if cpus is not None and cpus != int(cpus):
        raise wrong(f"{cpus:g} is no whole number of processors", "cpus", "a whole number from 1 up, or null")
    return value
