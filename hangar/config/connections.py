"""What goes into Airflow's containers by platform.yml: connections, variables and environment variables."""

import math
import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, model_validator
from pydantic.json_schema import JsonSchemaValue

from hangar.config.fields import Section, all_wrong, empty_if_none, quoted, setting, wrong
from hangar.config.secrets import NAME

OWNED = {
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
}
"""Generated on the machine; a second set would break the first."""

SECRETIVE = re.compile(
    r"(?!.*_(url|uri|endpoint|path|file|id|name|type|lifetime)$).*(password|passwd|secret|token|private_key|api_key)",
    re.IGNORECASE,
)
"""What is called so holds a secret, and not only says where one is or comes from."""


TOLD_TO_ALL = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|PRIVATE_KEY|API_KEY|ACCESS_KEY)$")
"""How a variable ends that holds a secret. `docker inspect` and /proc show it to whoever may look at the container."""


def _text(value: Any) -> str:
    """Environment variables are text; YAML makes numbers and truth values of some."""
    if value is None or isinstance(value, (list, dict)):
        raise wrong(f"{quoted(value)} is not a text, a number or a truth value")
    return str(value)


Scalar = Annotated[str, BeforeValidator(_text)]


class Secret(Section):
    """A value that stands in no file here: it is read on the machine when Airflow starts."""

    secret: str = setting(
        ...,
        "The secret's name on the machine.",
        "a name of letters, digits and _",
        pattern=NAME,
    )


def _uri_or_keys_schema(schema: JsonSchemaValue) -> None:
    keys = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string", "description": "A URI without a password."}, keys]


class Connection(Section):
    """An Airflow connection: a URI without a password, or its parts."""

    model_config = ConfigDict(json_schema_extra=_uri_or_keys_schema)

    uri: str | None = setting(None, "The whole connection as a URI, without a password.", "a URI")
    conn_type: str | None = setting(None, "Kind of connection.", "a kind such as postgres or http")
    host: str | None = setting(None, "Host name or URL.", "a host name")
    port: int | None = setting(None, "Port.", "a port from 1 to 65535", ge=1, le=65535)
    login: str | None = setting(None, "User name.", "a user name")
    password: Secret | None = setting(None, "Where the password is.", "{secret: NAME}")
    schema_: str | None = setting(None, "Database or schema.", "a database name", alias="schema")
    extra: dict[str, Any] | None = setting(None, "More options, as Airflow's `extra`.", "keys and values")

    @model_validator(mode="before")
    @classmethod
    def _from_uri(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("password"), str):
            raise wrong("a password in clear has no place in this file", "password", "{secret: NAME}")
        return {"uri": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> "Connection":
        if self.uri is None and self.conn_type is None:
            raise wrong("says neither what kind of connection it is nor its URI", "", "a URI, or conn_type")
        if self.uri is not None:
            _check_uri(self.uri)
        found = [
            ("a secret in clear has no place in this file", at, "{secret: NAME}")
            for at in in_clear(self.extra or {}, "extra")
        ]
        found += [
            (f"{quoted(name)} is not a secret's name", at, "a name of letters, digits and _")
            for at, name in references(self.extra or {}, "extra")
            if not isinstance(name, str) or not re.fullmatch(NAME, name)
        ]
        found += without_form(self.extra or {}, "extra")
        if found:
            raise all_wrong(found)
        return self


def in_clear(value: Any, at: str) -> Iterator[str]:
    """Where keys that are called like a secret hold a text; `{secret: NAME}` says where the secret is."""
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from in_clear(inner, f"{at}.{number}")
    if not isinstance(value, dict) or set(value) == {"secret"}:
        return
    for key, inner in value.items():
        place = f"{at}.{key}"
        if SECRETIVE.match(str(key)) and inner and isinstance(inner, str | int) and inner is not True:
            yield place
        yield from in_clear(inner, place)


def without_form(value: Any, at: str = "") -> Iterator[tuple[str, str, str]]:
    """What YAML reads and JSON has no form for, a date without quotes above all: (what, at, right)."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        place = f"{at}.{key}".removeprefix(".")
        if isinstance(value, dict) and not isinstance(key, str):
            yield f"{quoted(key)} is not a text", place, "the key in quotes"
        yield from without_form(below, place)
    if isinstance(value, date):
        yield f"{value} is read as a date, for which JSON has no form", at, "the same in quotes"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{value} is a number for which JSON has no form", at, "a finite one"
    elif value is not None and not isinstance(value, dict | list | str | int | float):
        yield "is nothing that JSON has a form for", at, "a text, a number, a list or keys and values"


def references(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    """Where `{secret: NAME}` stands, and the name."""
    if isinstance(value, dict) and set(value) == {"secret"}:
        yield at, value["secret"]
        return
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from references(below, f"{at}.{key}")


def _check_uri(uri: str) -> None:
    parts = urlsplit(uri)
    if not parts.scheme:
        raise wrong(f'"{uri}" is not a URI', "", "a URI such as postgres://user@host/database")
    if parts.password:
        shown = uri.replace(f":{parts.password}@", ":…@")
        raise wrong(
            f'"{shown}" holds a password in clear', "", "password: {secret: NAME} beside host and login"
        )
    for name, _ in parse_qsl(parts.query):
        if SECRETIVE.match(name):
            shown = uri.partition("?")[0]
            raise wrong(
                f'"{shown}?{name}=…" holds a secret in clear', "", "{secret: NAME} in the connection's extra"
            )


def check_connections(value: dict[str, Connection]) -> dict[str, Connection]:
    found = [
        ("is not a connection's name", name, "letters, digits, _ and -")
        for name in value
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name)
    ]
    if found:
        raise all_wrong(found)
    return value


def _is_secret(name: str, text: str) -> bool:
    """Whether an environment variable holds a secret, and not only says where one is (Airflow's _CMD and _SECRET)."""
    stem = name.removesuffix("_SECRET") if name.startswith("AIRFLOW__") else name
    if stem != name and TOLD_TO_ALL.search(stem):
        return False
    try:
        return bool(TOLD_TO_ALL.search(name) or urlsplit(text).password)
    except ValueError:  # no URI
        return False


def check_environment(value: dict[str, str]) -> dict[str, str]:
    """The variables as they are: well named, none that the machine makes itself, and no secret in clear. Everybody who
    may ask Docker reads them.

    Raises:
        PydanticCustomError: with every one that is wrong.
    """
    found = []
    for name, text in value.items():
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
            found.append(("is not a variable's name", name, "capital letters, digits and _"))
        elif name.removesuffix("_CMD").removesuffix("_SECRET") in OWNED:
            found.append(("is made on the machine and kept there", name, "leaving it out"))
        elif text and _is_secret(name, text):
            found.append(
                (
                    "a secret in clear has no place in this file, nor in a container's environment",
                    name,
                    "{secret: NAME} in airflow.connections or airflow.variables",
                )
            )
    if found:
        raise all_wrong(found)
    return value


Variables = Annotated[dict[str, Scalar], BeforeValidator(empty_if_none), AfterValidator(check_environment)]
Connections = Annotated[
    dict[str, Connection], BeforeValidator(empty_if_none), AfterValidator(check_connections)
]
