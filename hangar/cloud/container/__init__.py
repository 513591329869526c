"""A systemd container on this computer's Docker engine: the embedded default. A place to work, no security boundary."""

from hangar.cloud.container.driver import ContainerCloud

__all__ = ["ContainerCloud"]
