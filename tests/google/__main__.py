"""`python -m tests.google [--port N] [--state DIR] …`: serves the stand-in until it is told to end."""

import argparse
import asyncio
import json
import signal
from pathlib import Path

from aiohttp import web

from tests.google.server import StandIn, make_world


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.google", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--state", type=Path, help="a folder; what exists is kept there for the next process")
    parser.add_argument(
        "--project", default="hangar-test", help="the project that exists (default: hangar-test)"
    )
    parser.add_argument("--operation-seconds", type=float, default=0.05, help="how long an operation takes")
    asyncio.run(serve(parser.parse_args()))


async def serve(args: argparse.Namespace) -> None:
    world = make_world(args.state, args.project, args.operation_seconds)
    runner = web.AppRunner(StandIn(world).app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", args.port).start()
    port = runner.addresses[0][1]
    print(json.dumps({"base_url": f"http://127.0.0.1:{port}", "project": args.project}), flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await runner.cleanup()


if __name__ == "__main__":
    main()
