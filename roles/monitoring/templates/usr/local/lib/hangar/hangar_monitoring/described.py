# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""What the role has described: ports, secrets, and the services that are watched."""

import json
from pathlib import Path
from typing import Any

DESCRIBED = Path("/etc/hangar/monitoring/described.json")
SECRETS = Path("/srv/monitoring/secrets")
ACCOUNT = "monitoring"
SCRAPER = "scraper"


class Refused(Exception):
    """What a person has to decide, as a sentence."""


def load() -> dict[str, Any]:
    return dict(json.loads(DESCRIBED.read_text()))
