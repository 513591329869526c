"""`python -m hangar.cloud.gcp.relay`: standard input and output become a connection to a port of an instance.

For ssh's ProxyCommand. It may be called by its folder's path too (`python …/hangar/cloud/gcp/relay`), from anywhere.
Exit codes: 0 the tunnel ended in order, 1 it failed (one line on standard error says why and what to do), 2 the
arguments are wrong.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    # Called by its path: this folder's modules are no top-level ones, the repository's packages are.
    sys.path[0] = str(Path(__file__).resolve().parents[4])

from hangar.cloud.gcp.relay.target import ENDPOINT, Target, require_trusted
from hangar.cloud.gcp.relay.tokens import Tokens
from hangar.errors import HangarError


def main(argv: Sequence[str] | None = None) -> int:
    target = Target(**vars(_parser().parse_args(argv)))
    if not sys.stdin.isatty():
        # Ctrl-C is meant for what runs inside the connection; ours ends with our input.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        require_trusted(target.endpoint)
        carry(target)
    except HangarError as problem:
        return _fail(f"{problem.brief} {problem.details} {problem.resolution}")
    except KeyboardInterrupt:
        return 1
    except Exception as error:  # a defect, but ssh's own words stand beside ours: a line, no traceback
        return _fail(
            f"{type(error).__name__}: {error} This is a defect in Hangar; use gcloud for the tunnel."
        )
    return 0


def _fail(words: str) -> int:
    line = " ".join(words.split())
    sys.stderr.write(f"hangar relay: {line}\n")
    return 1


def carry(target: Target) -> None:
    """Returns when the tunnel has ended in order; else raises HangarError."""
    tokens = Tokens(target)
    tokens.fetch_early()

    import asyncio
    import logging

    from hangar.cloud.gcp.relay.session import Session
    from hangar.cloud.gcp.relay.stdio import binary
    from hangar.cloud.gcp.relay.websocket import dialler

    read_from, write_to = sys.stdin.fileno(), sys.stdout.fileno()

    async def run() -> None:
        await Session(target, dialler(target, tokens.get), read_from, write_to).run()

    logging.getLogger("asyncio").disabled = True  # what matters to us comes as an exception
    binary(read_from, write_to)
    asyncio.run(run())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hangar.cloud.gcp.relay", description=__doc__)
    parser.add_argument("--project", required=True, metavar="P")
    parser.add_argument("--zone", required=True, metavar="Z")
    parser.add_argument("--instance", required=True, metavar="I")
    parser.add_argument("--port", type=_port, default=22, metavar="N", help="22 unless told")
    parser.add_argument("--interface", default="nic0", metavar="NAME", help="nic0 unless told")
    parser.add_argument("--endpoint", default=ENDPOINT, metavar="URL", help=f"{ENDPOINT} unless told")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError
    return port


if __name__ == "__main__":
    sys.exit(main())
