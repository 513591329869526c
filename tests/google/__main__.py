"""`python -m tests.google [--port N] [--state DIR] …`: serves the stand-in until it is told to end."""

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
from pathlib import Path

from aiohttp import web

from hangar import engine
from tests.google import machines
from tests.google.background import Background
from tests.google.compute import guests
from tests.google.server import StandIn, make_world
from tests.google.state import State

LAST_WORDS = 1.0
"""Seconds that open tunnels get to end when the server does."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.google", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--state", type=Path, help="a folder; what exists is kept there for the next process")
    parser.add_argument(
        "--project", default="hangar-test", help="the project that exists (default: hangar-test)"
    )
    parser.add_argument(
        "--machines",
        choices=("none", "docker"),
        default="none",
        help="docker: an instance is a container that boots and answers SSH",
    )
    parser.add_argument(
        "--cleanup",
        action="store_true",
        help="only remove what a killed stand-in left in Docker: that of --state, or without it every one's",
    )
    parser.add_argument("--operation-seconds", type=float, default=0.05, help="how long an operation takes")
    args = parser.parse_args()
    if args.cleanup:
        print(json.dumps({"removed": _left_by(args.state)}))
        return
    asyncio.run(serve(args))
    sys.stdout.flush()
    os._exit(0)  # threads that still wait for a machine wait for one that is gone


async def serve(args: argparse.Namespace) -> None:
    world = make_world(args.state, args.project, args.operation_seconds)
    if args.machines == "docker":
        world.background = Background()
        world.machines = await asyncio.to_thread(_machines, world.state)
        guests.resume(world)
    runner = web.AppRunner(StandIn(world).app, access_log=None, shutdown_timeout=LAST_WORDS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", args.port).start()
    port = runner.addresses[0][1]
    print(json.dumps({"base_url": f"http://127.0.0.1:{port}", "project": args.project}), flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await runner.cleanup()
    if world.machines and world.background:
        world.background.close()
        await asyncio.to_thread(world.machines.cleanup)


def _left_by(folder: Path | None) -> list[str]:
    client = engine.connect()
    if folder is None:
        return machines.cleanup(client)
    name = State(folder).table("machines").get("name")
    return machines.cleanup(client, f"{machines.LABEL}={name}") if name else []


def _machines(state: State) -> machines.DockerMachines:
    """Machines under a name of this state's own, so that the next process finds them."""
    named = state.table("machines")
    made = machines.DockerMachines(named.setdefault("name", f"google-{secrets.token_hex(3)}"))
    state.save()  # before anything is made, so that whoever cleans up behind a kill knows the name
    made.prepare(lambda step: print(step, file=sys.stderr, flush=True))
    return made


if __name__ == "__main__":
    main()
