"""A machine that is there already: nothing is created, nothing destroyed, the first login trusts a pinned key."""

from hangar.cloud.existing.driver import ExistingCloud

__all__ = ["ExistingCloud"]
