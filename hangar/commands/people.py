"""people: let somebody in, end somebody's access, give another key or day, see who is there."""

import argparse
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from hangar import console, lock
from hangar.commands import _flags, _people
from hangar.errors import ConfigError, HangarError, LockHeld, MachineMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hangar.config import Config

ACTIONS = ("add", "remove", "expire", "key", "list", "password")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", metavar="add NAME | remove NAME | expire NAME | key NAME | password NAME | list [ENV]", nargs="*",
        help="what to do (default: list), with whom, and where (default: local)",
    )  # fmt: skip
    parser.set_defaults(environment="local")
    parser.add_argument(
        "--key", action="append", default=[], metavar="FILE",
        help="add, key: a public key, as a .pub file or as its text; may be given more than once",
    )  # fmt: skip
    parser.add_argument(
        "--remove", action="append", default=[], metavar="FINGERPRINT",
        help="key: a key that the person has no more (or its .pub file); may be given more than once",
    )  # fmt: skip
    parser.add_argument(
        "--role", choices=("admin", "developer", "viewer"), help="add: what the person may do"
    )
    parser.add_argument("--email", metavar="ADDRESS", help="add: the person's address, for Airflow")
    parser.add_argument(
        "--expires", metavar="DATE", help="add, expire: the first day without access, or never"
    )
    parser.add_argument(
        "--myself",
        metavar="NAME",
        default="",
        help="remove, expire today: the name again, where it is your own",
    )
    _flags.break_lock(parser, "add, remove, expire, key")


def run(args: argparse.Namespace) -> int:
    action, name, args.environment = split(args.words, args.environment)
    if args.overrides:
        raise HangarError("People are what platform.yml says; --set means nothing here.")
    config = _settings(args.environment, name if action == "remove" else "")
    match action:
        case "add":
            _add(config, name, args)
        case "remove":
            _remove(config, name, args)
        case "expire":
            _expire(config, name, args)
        case "key":
            _key(config, name, args)
        case "password":
            _password(config, name, args)
        case _:
            return _list(config, args)
    return 0


def _settings(env: str, leaver: str) -> "Config":
    """The environment's settings. Where they are wrong, whoever is to be out need not stay until they are mended."""
    from hangar import paths
    from hangar.config import load

    try:
        return load(env)
    except ConfigError as error:
        if leaver and paths.ssh_config(env).exists():
            error.resolution += f"\n{_at_once(env, leaver)}"
        raise


def _at_once(env: str, name: str) -> str:
    return (
        f"To end their access before that: ./provision.py ssh {env} sudo people remove {name}\n"
        "Then run this again all the same: it changes platform.yml, by which the next `up` goes."
    )


def split(words: list[str], default: str) -> tuple[str, str, str]:
    """The action, the person and the environment.

    Raises:
        HangarError: the words are others.
    """
    left = list(words)
    env = left.pop(0) if len(left) > 1 and left[0] not in ACTIONS and left[1] in ACTIONS else default
    action = left.pop(0) if left and left[0] in ACTIONS else "list"
    name = left.pop(0) if action != "list" and left else ""
    env = left.pop(0) if left and env == default else env
    if left or (action != "list" and not name):
        from hangar.config.public_keys import PRIVATE  # only now: help needs none of it

        said = " ".join(words)
        raise HangarError(
            "This is not how people are asked for.",
            "* You said a private key, which belongs on its owner's computer alone. Nothing of it was stored."
            if PRIVATE.search(said)
            else f"* You said: people {said}",
            f"Say: ./provision.py people list {env}, or add, remove, expire, key or password with a NAME",
        )
    return action, name, env


def _add(config: "Config", name: str, args: argparse.Namespace) -> None:
    from hangar.people import coming, keys

    if not args.key or not args.role:
        raise HangarError(
            f"{name} needs a key and a role.",
            resolution=f"Say: ./provision.py people add {name} {config.environment} --role developer --key {name}.pub",
        )
    entry: dict[str, Any] = {
        "name": name,
        "role": args.role,
        "keys": [keys.read_key(key) for key in args.key],
    }
    entry |= {"expires": day} if (day := _day(args.expires)) else {}
    entry |= {"email": args.email} if args.email else {}
    with _at_work(config, args, f"people add {name}") as progress:
        outcome = coming.add(config, entry, progress)
    _people.tell_in(config, outcome.person, has_machine=outcome.has_machine)
    _as_json(args.json, {"name": name, "on_the_machine": outcome.has_machine})


def _remove(config: "Config", name: str, args: argparse.Namespace) -> None:
    from hangar.people import leaving, settings
    from hangar.people.edit import Unchangeable

    env = config.environment
    settings.require_removable(config, name)
    if not console.confirm(f"End all access of {name} to {env} now, and archive the home?"):
        raise HangarError(f"{name} stays.")
    _require_second_word(config, name, args.myself)
    try:
        with _at_work(config, args, f"people remove {name}") as progress:
            gone = leaving.remove(config, name, progress)
    except LockHeld as held:
        held.resolution += f"\n{_at_once(env, name)}"
        raise
    except Unchangeable as unchanged:
        unchanged.resolution += f"\n{_at_once(env, name).splitlines()[0]}"
        raise
    _people.tell_out(config, gone)
    _people.tell_colleagues(config)
    _as_json(args.json, asdict(gone))


def _require_second_word(config: "Config", name: str, given: str) -> None:
    """Whoever shuts themselves out is asked once more, and --yes is no answer.

    Raises:
        HangarError: the answer is another.
    """
    from hangar.people import leaving

    question = (
        f"{name} is you: this computer logs in with that key, and will be out too. Type {name} to go on:"
    )
    if leaving.is_oneself(config, name) and not console.typed(question, name, given, "--myself"):
        raise HangarError(f"{name} stays.")


def _expire(config: "Config", name: str, args: argparse.Namespace) -> None:
    from hangar.config.people import today
    from hangar.people import coming, settings

    if not args.expires:
        raise HangarError(
            "There is no day.",
            resolution=f"Say: ./provision.py people expire {name} --expires 2027-03-31 (or never)",
        )
    day = _day(args.expires)
    if day is not None:
        settings.require_removable(config, name)
    if day == today():
        settings.require(config, name)
        question = f"End the access of {name} to {config.environment} now? The account and the home stay."
        if not console.confirm(question):
            raise HangarError(f"{name} has the same day as before.")
        _require_second_word(config, name, args.myself)
    with _at_work(config, args, f"people expire {name}") as progress:
        outcome = coming.set_expiry(config, name, day, progress)
    ends = f"until the day before {day}" if day else "without an end"
    console.say(f"{name} has {'no access from now on' if day == today() else f'access {ends}'}.")
    _people.tell_in(config, outcome.person, has_machine=outcome.has_machine)
    if outcome.person.is_expired:
        _people.tell_colleagues(config)
    _as_json(args.json, {"name": name, "expires": str(day or ""), "on_the_machine": outcome.has_machine})


def _key(config: "Config", name: str, args: argparse.Namespace) -> None:
    from hangar.people import keys, settings

    env = config.environment
    more, gone = [keys.read_key(key) for key in args.key], [keys.fingerprint(one) for one in args.remove]
    if not more and not gone:
        _people.tell_keys(settings.require(config, name))
        console.say(f"Another one: ./provision.py people key {name} {env} --key FILE --remove FINGERPRINT")
        _as_json(args.json, _people.keys_as_data(settings.require(config, name)))
        return
    keys.require_changeable(config, name, more, gone)
    ending = (
        f"Take {', '.join(gone)} from {name}? Their sessions on {env} end, and begin again with another key."
    )
    if gone and not console.confirm(ending):
        raise HangarError(f"{name} has the same keys as before.")
    with _at_work(config, args, f"people key {name}") as progress:
        outcome = keys.change(config, name, more, gone, progress)
    _people.tell_keys(outcome.person)
    if not outcome.has_machine:
        console.say(f"That stands in platform.yml. {env} has no machine that runs: the next `up` does it.")
    elif outcome.person.is_expired:
        console.say(f"The day of {name} has come: the machine refuses each of their keys.")
    else:
        refused = ", and refuses what was taken" if gone else ""
        console.say(f"The machine admits each of these keys{refused}.")
    if gone:
        _people.tell_colleagues(config)
    _as_json(args.json, {**_people.keys_as_data(outcome.person), "on_the_machine": outcome.has_machine})


def _password(config: "Config", name: str, args: argparse.Namespace) -> None:
    from hangar.commands._machine import acquaint
    from hangar.people import machine, settings

    settings.require(config, name)
    acquaint(args, as_operator=True)
    machine.new_password(config.environment, name)
    console.say(f"{name} has a new password for Airflow, which nobody has seen.")
    console.say(f"They read it on the machine, as themselves: cat /srv/people/passwords/{name}")
    _as_json(args.json, {"name": name, "file": f"/srv/people/passwords/{name}"})


def _list(config: "Config", args: argparse.Namespace) -> int:
    """Shows what is known, also where the machine could not be asked; then it ends as a failure."""
    from hangar.config.public_keys import parse
    from hangar.people import forgotten

    forgotten.warn(config)
    known, is_told = _on_the_machine(args)
    rows, found = [], []
    for person in config.people:
        there = known.get(person.name)
        state = (
            "not known"
            if not is_told
            else "not there yet"
            if there is None or not there["account"]
            else "working"
            if there["sessions"]
            else "in"
        )
        state = "out, the day has come" if person.is_expired else state
        keys = [parse(key) for key in person.keys]
        found.append(
            {
                **person.model_dump(mode="json"),
                "state": state,
                "fingerprints": [key.fingerprint for key in keys],
            }
        )
        marks = ", ".join(f"{key.type.removesuffix('@openssh.com')} {key.comment}".strip() for key in keys)
        rows.append([person.name, person.role, marks, str(person.expires or "-"), person.airflow_role, state])
    strays = [
        name for name, one in known.items() if not one["left"] and name not in {one["name"] for one in found}
    ]
    rows += [[name, "-", "-", "-", "-", "leaves at the next up"] for name in strays]
    console.table(["name", "role", "keys", "expires", "Airflow", "on the machine"], rows)
    _as_json(args.json, {"people": found, "leaving": strays if is_told else None})
    return 0 if is_told else 1


def _on_the_machine(args: argparse.Namespace) -> tuple[dict[str, dict[str, Any]], bool]:
    """What the machine knows of everybody, and whether it could be asked. Where there is none, nobody is on it."""
    from hangar.commands._machine import acquaint
    from hangar.people import machine

    try:
        acquaint(args, as_operator=True)
        return machine.show(args.environment), True
    except MachineMissing:
        return {}, True
    except HangarError as error:
        console.note(f"{error.brief} This is what platform.yml says.\n{error.resolution}")
        return {}, False


def _day(text: str | None) -> date | None:
    if text in (None, "never"):
        return None
    from hangar.config.people import today

    try:
        return today() if text == "today" else date.fromisoformat(str(text))
    except ValueError:
        raise HangarError(
            f'"{text}" is not a day.', resolution="Say a day such as 2027-03-31, today or never."
        ) from None


def _as_json(asked: bool, data: Any) -> None:
    if asked:
        console.json(data)


@contextmanager
def _at_work(config: "Config", args: argparse.Namespace, words: str) -> "Iterator[console.Progress]":
    """Alone on the environment, as `up` is: both write who may come, on the machine and into the project's policy."""
    from hangar.cloud import cloud_for

    command = f"provision.py {words} {config.environment}"
    with (
        lock.held(config.environment, command),
        console.Progress() as progress,
        cloud_for(config).hold(command, break_lock=args.break_lock),
    ):
        yield progress
