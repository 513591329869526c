"""The places a machine can come from, behind one small protocol (base.py)."""

from typing import TYPE_CHECKING

from hangar.cloud.base import Cloud

if TYPE_CHECKING:
    from hangar.config import Config

__all__ = ["cloud_for"]


def cloud_for(config: "Config") -> Cloud:
    """The driver that `cloud:` in platform.yml names. Its library is loaded only now."""
    if config.cloud == "container":
        from hangar.cloud.container import ContainerCloud

        return ContainerCloud(config.environment)
    if config.cloud == "vm":
        from hangar.cloud.vm import VmCloud

        return VmCloud(config.environment, config.vm)
    if config.cloud == "gcp":
        from hangar.cloud.gcp.driver import GoogleCloud

        return GoogleCloud(config)
    if config.cloud == "existing":
        from hangar.cloud.existing import ExistingCloud

        return ExistingCloud(config)
    raise ValueError(f"no such cloud: {config.cloud}")  # platform.yml lets only known ones through
