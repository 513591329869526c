"""What the verb `people` says of somebody once it is done."""

from typing import TYPE_CHECKING, Any

from hangar import console

if TYPE_CHECKING:
    from hangar.config import Config
    from hangar.config.people import Person
    from hangar.people.leaving import Departure


def tell_in(config: "Config", person: "Person", *, has_machine: bool) -> None:
    env = config.environment
    if not has_machine:
        then = "keeps them out" if person.is_expired else "lets them in"
        console.say(
            f"{person.name} stands in platform.yml. {env} has no machine that runs: the next `up` {then}."
        )
        return
    if person.is_expired:
        console.say(f"{person.name} is out: the machine refuses each of their keys.")
        return
    console.say(f"{person.name} ({person.role}) is in: the machine admits each of their keys.")
    console.say(f"They log in as {person.name}, with their own key: docs/people.md says how.")
    if config.cloud == "gcp" and not person.email:
        console.say(
            "They have no address in platform.yml (--email), so Google's tunnel admits them only where"
        )
        console.say("somebody else in the project lets them in.")
    if person.airflow_role != "none":
        console.say(
            f"Their first password for Airflow is on the machine: cat /srv/people/passwords/{person.name}"
        )


def tell_out(config: "Config", gone: "Departure") -> None:
    env = config.environment
    if not gone.has_machine:
        console.say(
            f"{gone.name} is out of platform.yml. {env} has no machine that runs: the next `up` finishes it."
        )
        return
    proof = "; the machine refuses each of their keys" if gone.proven else ""
    console.say(f"{gone.name} is out: the last process ended after {gone.seconds:.1f} s{proof}.")
    if gone.archive:
        console.say(f"The home is archived on the machine: {gone.archive} (for root alone)")
    if gone.knew:
        console.say(f"They could read {gone.knew}. Change what of it opens something elsewhere;")
        console.say(f"what the machine made itself is made anew by: ./provision.py rotate --list {env}")
    if config.cloud == "gcp":
        console.say(f"Google's tunnel admits them no more{_others_bindings(config, gone)}")


def _others_bindings(config: "Config", gone: "Departure") -> str:
    """What Hangar has not given, it does not take away."""
    if gone.email:
        return (
            f" by the binding that Hangar keeps for {config.environment}; one that somebody else made stays."
        )
    return ", as they had no address in platform.yml; take away what somebody else gave them in the project."


def tell_colleagues(config: "Config") -> None:
    """Another checkout goes by its own platform.yml."""
    if not config.is_here:
        console.say(
            f"Commit inventory/{config.environment}/platform.yml: whoever runs `up` from a checkout without this"
        )
        console.say("gives the access back.")


def tell_keys(person: "Person") -> None:
    rows = [[one["fingerprint"], one["type"], one["comment"]] for one in keys_as_data(person)["keys"]]
    console.table(["fingerprint", "type", "comment"], rows, f"Keys of {person.name}")


def keys_as_data(person: "Person") -> dict[str, Any]:
    from hangar.config.public_keys import parse

    keys = [parse(key) for key in person.keys]
    return {
        "name": person.name,
        "keys": [{"fingerprint": one.fingerprint, "type": one.type, "comment": one.comment} for one in keys],
    }
