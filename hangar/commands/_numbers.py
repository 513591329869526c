"""Numbers on the command line, within what makes sense of them."""

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def between(least: Number, most: Number, what: str, kind: type[Number]) -> Callable[[str], Number]:
    """Reads a number from `least` to `most`; whatever else is refused with what would be right. `nan` is no number:
    no deadline is ever reached by it.
    """
    right = f"from {least} to {most} {what} would be right"

    def read(text: str) -> Number:
        try:
            found = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'"{text}" is no number; {right}') from None
        if not least <= found <= most:
            raise argparse.ArgumentTypeError(right)
        return found

    return read
