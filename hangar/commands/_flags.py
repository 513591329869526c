"""Flags that several verbs have, and what they mean to all of them. Light: `--help` of a verb imports this."""

import argparse

CHANGES_FOUND = 4
"""The exit code of `--exit-code` where something would change."""


def break_lock(parser: argparse.ArgumentParser, actions: str = "") -> None:
    """Adds --break-lock; `actions` are those of the verb that mind it, where others do not."""
    parser.add_argument(
        "--break-lock", action="store_true",
        help=_of(actions, "take the lock that the cloud holds away from whoever has it (after a call that was killed)"),
    )  # fmt: skip


def exit_code(parser: argparse.ArgumentParser, actions: str = "") -> None:
    """Adds --exit-code; `actions` are those of the verb that mind it, where others do not."""
    said = f"exit {CHANGES_FOUND} when something would change"
    parser.add_argument("--exit-code", action="store_true", help=_of(actions, said))


def _of(actions: str, said: str) -> str:
    return f"{actions}: {said}" if actions else said
