"""The cloud half of `up production` in a process to be killed: `python -m tests.gcp.cloud_half FOLDER [SETTING…]`.

A plan that replaces the machine is carried out, as after `--allow-replace`.
"""

import sys
from pathlib import Path

from hangar import config, paths
from hangar.cloud.base import MachineSpec
from hangar.cloud.gcp import driver, host_keys
from hangar.cloud.gcp.driver import GoogleCloud

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdOYXJlIGtleSBvZiB0aGUgb3BlcmF0b3I operator"
SPEC = MachineSpec("production", "hangar-production", None, None, None, "hangar", KEY)


def main(folder: Path, *overrides: str) -> None:
    paths.REPO = folder
    host_keys.PAUSE = host_keys.LATER = driver.ROUND_PAUSE = 0.1
    cloud = GoogleCloud(config.load("production", overrides))
    with cloud.hold("provision.py up production"):
        cloud.ensure(cloud.plan(SPEC), SPEC, lambda _: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
