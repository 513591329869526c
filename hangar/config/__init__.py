"""platform.yml → Config: frozen, typed, unknown keys refused, every problem reported with its path."""

from hangar.config.load import load
from hangar.config.models import Config, Connection, Secret

__all__ = ["Config", "Connection", "Secret", "load"]
