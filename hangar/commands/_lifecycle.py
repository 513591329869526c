"""What verbs for a machine in a cloud begin with: its settings, its driver, both locks, progress."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hangar import lock
from hangar.cloud.base import Report
from hangar.cloud.lifecycle import Lifecycle, lifecycle_for
from hangar.console import Progress

if TYPE_CHECKING:
    from hangar.config import Config


def settings(args: argparse.Namespace) -> "Config":
    from hangar.config import load

    return load(args.environment, args.overrides)


@contextmanager
def at_work(
    config: "Config", args: argparse.Namespace, verb: str, stage: str
) -> Iterator[tuple[Lifecycle, Report]]:
    """The environment is ours alone, here and on other computers, and what we do is shown."""
    named = f"provision.py {verb} {config.environment}"
    driver = lifecycle_for(config)
    with (
        lock.held(config.environment, named),
        Progress() as progress,
        progress.stage(stage),
        driver.hold(named, break_lock=args.break_lock),
    ):
        yield driver, progress.report
