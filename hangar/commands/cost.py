"""cost: what the settings cost a month in the cloud."""

import argparse
from dataclasses import asdict

from hangar import console
from hangar.commands import _lifecycle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(args: argparse.Namespace) -> int:
    from hangar.cloud.lifecycle import lifecycle_for

    cost = lifecycle_for(_lifecycle.settings(args)).cost()
    for what, price in cost.items:
        console.say(f"  {what:40} {price:9.2f} {cost.currency}")
    for what in cost.unpriced:
        console.say(f"  {what:40} {'no price':>9}", "yellow")
    total = "not known" if cost.after is None else f"{cost.after:9.2f} {cost.currency}"
    console.say(f"  {'a month of 730 hours':40} {total}", "bold")
    console.say(f"From {cost.note}.")
    if args.json:
        console.json(asdict(cost))
    return 0
