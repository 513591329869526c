"""A virtual machine on this computer: QEMU in a container, Debian 13 with a kernel of its own."""

from hangar.cloud.vm.driver import VmCloud

__all__ = ["VmCloud"]
