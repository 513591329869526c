#!/usr/bin/env python3
"""Hangar's door: needs nothing but Python 3.11 or newer, and makes the rest itself.

Written so that any Python can read it, an old one too, and say what is wanted.
"""

import os
import sys

OLDEST = (3, 11)


def main():  # type: () -> int
    _open_streams()
    here = os.path.dirname(os.path.realpath(__file__))
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "Hangar needs Python 3.11 or newer; {} is {}.{}.\n"
            "Debian 12, Ubuntu 24.04 and newer have it as python3. Elsewhere, with uv:\n"
            "    uv run --no-project --python 3.13 ./provision.py {}\n".format(
                sys.executable, sys.version_info[0], sys.version_info[1], " ".join(sys.argv[1:])
            )
        )
        return 1
    sys.path.insert(0, here)
    from hangar import bootstrap

    bootstrap.enter([os.path.join(here, "provision.py")] + sys.argv[1:])
    from hangar import cli

    return cli.main()


def _open_streams():  # type: () -> None
    """Some callers close what they do not use (`<&-`). Nobody is there to answer or to listen then, which is no error;
    and the next file that is opened must not take the place of one of the three.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode))  # noqa: SIM115  it stays open


if __name__ == "__main__":
    sys.exit(main())
