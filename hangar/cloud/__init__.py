"""The places a machine can come from, behind one small protocol (base.py)."""

from hangar.cloud.base import Cloud

__all__ = ["cloud_for"]


def cloud_for(kind: str, environment: str) -> Cloud:
    """The driver that `cloud:` in platform.yml names. Its library is loaded only now."""
    if kind == "container":
        from hangar.cloud.container import ContainerCloud

        return ContainerCloud(environment)
    raise ValueError(f"no such cloud: {kind}")  # platform.yml lets only known ones through
