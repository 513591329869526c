"""`python -m hangar.ssh prove --env ENV`: exit 0 if a new login works, else 1. For the roles' interlock."""

import argparse
import sys
from collections.abc import Sequence

from hangar import console
from hangar.errors import HangarError
from hangar.ssh.proof import TIMEOUT, Target, prove


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hangar.ssh", description=__doc__)
    parser.add_argument("verb", choices=("prove",))
    parser.add_argument("--env", required=True, metavar="ENV", help="the environment, such as local")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="SECONDS")
    args = parser.parse_args(argv)
    try:
        prove(Target.of(args.env), args.timeout)
    except HangarError as problem:
        console.error(problem)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
