"""ssh: log in to the machine, or run one command on it."""

import argparse

from hangar import paths, process
from hangar.environments import require_name
from hangar.errors import MachineMissing
from hangar.ssh import client_config
from hangar.ssh.call import NO_LOGIN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", metavar="[ENV] [COMMAND]", nargs="*",
        help="the environment (default: local), then a command; put -- before a command with options of its own",
    )  # fmt: skip
    parser.set_defaults(environment="local")


def run(args: argparse.Namespace) -> int:
    env, words = split(args.words, args.environment)
    require_name(env)
    config = client_config.of(env)
    if args.overrides or not client_config.knows(env):
        from hangar.commands import _machine  # only now: what is known here starts at once

        args.environment = env
        try:
            _machine.acquaint(args)
        except MachineMissing as missing:
            if words and words == args.words:
                missing.details = f'* "{words[0]}" names no environment, so it was taken for a command.'
            raise
    ended = process.interactive(["ssh", "-F", str(config), f"hangar-{env}", *words, *args.rest])
    if ended == NO_LOGIN and "ProxyCommand" in client_config.read(config):
        from hangar.commands import _machine

        args.environment = env
        _machine.look_at_host_key(args)
    return ended


def split(words: list[str], default: str) -> tuple[str, list[str]]:
    """The first word is an environment if there is one of that name; the rest is the command."""
    if words and (paths.env_dir(words[0]).is_dir() or paths.state_dir(words[0]).is_dir()):
        return words[0], words[1:]
    return default, words
