#!/usr/bin/env python3
"""A tiny source connector for the tests, on the standard library alone: it behaves as its configuration says."""

import json
import os
import sys
import time
from pathlib import Path

SPEC = {
    "type": "object",
    "required": ["behaviour"] if "--faker" not in sys.argv else [],
    "additionalProperties": False,
    "properties": {
        "behaviour": {"type": "string"},
        "rows": {"type": "integer", "minimum": 0},
        "api_key": {"type": "string", "airbyte_secret": True},
        "auth": {
            "oneOf": [
                {"properties": {"kind": {"const": "none"}}},
                {"properties": {"kind": {"const": "key"}, "key": {"type": "string", "airbyte_secret": True}}},
            ]
        },
        "marker": {"type": "string"},
        "keyless": {"type": "boolean"},
        # so that it can pass for source-faker towards clients that know only Airbyte's connectors
        **{name: {} for name in ("count", "seed", "records_per_slice", "always_updated", "parallelism")},
    },
}
COLUMNS = {
    "id": {"type": ["null", "integer"]},
    "code": {"type": ["null", "string"]},
    "order": {"type": ["null", "string"]},
    "updated_at": {
        "type": ["null", "string"],
        "format": "date-time",
        "airbyte_type": "timestamp_with_timezone",
    },
    "detail": {"type": ["null", "object"]},
}


EATEN: list[bytearray] = []
LONG = "as_long_as_names_are_in_some_customer_relation_systems_of_this_world"


def stream(name: str, columns: dict = COLUMNS) -> dict:
    return {
        "name": name,
        "json_schema": {"type": "object", "properties": columns},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": True,
        "default_cursor_field": ["updated_at"],
        "source_defined_primary_key": [["id"]],
    }


def keyless(offered: dict) -> dict:
    """The stream of a source that says neither what tells rows apart nor what tells what is new."""
    defined = ("source_defined_cursor", "default_cursor_field", "source_defined_primary_key")
    return {name: value for name, value in offered.items() if name not in defined}


def say(kind: str, **content: object) -> None:
    print(json.dumps({"type": kind, **content}), flush=True)


def record(name: str, number: int, **other: object) -> None:
    data = {
        "id": number,
        "code": f"{number:05d}",
        "order": 'a,b\t"c"\\N\nd é',
        "updated_at": f"2026-01-01T{number % 24:02d}:00:00Z",
        "detail": {"n": number},
    }
    print(
        json.dumps(
            {
                "type": "RECORD",
                "record": {"stream": name, "data": {**data, **other}, "emitted_at": int(time.time() * 1000)},
            }
        )
    )


def state(name: str, seen: int) -> None:
    say(
        "STATE",
        state={
            "type": "STREAM",
            "stream": {"stream_descriptor": {"name": name}, "stream_state": {"seen": seen}},
        },
    )


def complain(sentence: str) -> None:
    say("TRACE", trace={"type": "ERROR", "emitted_at": 1.0, "error": {"message": sentence}})
    sys.exit(1)


def argument(name: str) -> dict | list:
    return json.loads(Path(sys.argv[sys.argv.index(name) + 1]).read_text())


def told(config: dict) -> dict:
    """What a test says that the source has: its streams, and the rows of each."""
    return json.loads(Path(config["marker"]).read_text())


def catalog(config: dict) -> list[dict]:
    if config["behaviour"] == "told":
        return told(config)["streams"]
    columns = dict(COLUMNS)
    if config["behaviour"] == "grown":
        columns["extra"] = {"type": ["null", "string"]}
    if config["behaviour"] == "retyped":
        columns["code"] = {"type": ["null", "integer"]}
    if config["behaviour"] == "alike":
        columns["Code"] = {"type": ["null", "string"]}
    if config["behaviour"] == "nameless":
        columns["__"] = {"type": ["null", "string"]}
    if config["behaviour"] == "long_names":
        columns[LONG] = {"type": ["null", "string"]}
    streams = [stream("items", columns), stream("more", columns)]
    if config["behaviour"] == "long_names":
        streams.append(stream(LONG, columns))
    return [keyless(one) for one in streams] if config.get("keyless") else streams


def wait_for(word: Path) -> None:
    """Say that the question has arrived, and answer it when the test says so."""
    word.with_suffix(".asked").touch()
    while not word.exists():
        time.sleep(0.02)


def read(config: dict) -> None:
    behaviour, rows = config["behaviour"], config.get("rows", 10)
    wanted = {item["stream"]["name"]: item["sync_mode"] for item in argument("--catalog")["streams"]}
    states = argument("--state") if "--state" in sys.argv else []
    seen = {
        item["stream"]["stream_descriptor"]["name"]: item["stream"]["stream_state"]["seen"] for item in states
    }
    say("LOG", log={"level": "INFO", "message": f"reading with the key {config.get('api_key')}"})
    if behaviour == "told":
        tell(told(config), wanted, seen)
        return
    for name, mode in wanted.items():
        if behaviour == "silent":
            continue
        start = seen.get(name, 0) if mode == "incremental" else 0
        say("LOG", log={"level": "INFO", "message": f"{name}: {mode} from {start}"})
        for number in range(start + 1, rows + 1):
            if behaviour == "expires" and number > rows // 2 and config.get("api_key") != "a-renewed-token":
                # flushed first: those rows did arrive
                sys.stdout.flush()
                complain(f"401 Unauthorized: the token {config.get('api_key')} has expired")
            act(behaviour, name, number, rows)
        state(name, max(rows, start))
    if behaviour == "fails_late":
        complain("the far end hung up")


def tell(source: dict, wanted: dict, seen: dict) -> None:
    """Each row that is wanted, as JSON says it; of an incremental stream those behind the ones that were seen."""
    for name, rows in source["rows"].items():
        if name not in wanted:
            continue
        start = seen.get(name, 0) if wanted[name] == "incremental" else 0
        for row in rows[start:]:
            text = row if isinstance(row, str) else json.dumps(row)
            print(
                f'{{"type": "RECORD", "record": {{"stream": {json.dumps(name)}, "data": {text}, "emitted_at": 1}}}}'
            )
        state(name, len(rows))


def act(behaviour: str, name: str, number: int, rows: int) -> None:
    if behaviour == "hangs" and number > rows // 2:
        time.sleep(3600)
    if behaviour == "hides" and number > rows // 2 and os.fork() == 0:
        os.setsid()
        time.sleep(3600)
    if behaviour == "hides" and number > rows // 2:
        time.sleep(3600)
    if behaviour == "eats":
        EATEN.append(bytearray(20_000_000))
        time.sleep(0.02)
    if behaviour in ("slow", "expires"):
        time.sleep(0.05)
    if behaviour == "lies_type" and number == rows:
        record(name, number, id="not a number")
    elif behaviour == "lies_stream" and number == rows:
        record("unheard_of", number)
    elif behaviour == "extra_field":
        record(name, number, surprise="!")
    elif behaviour == "twice":
        record(name, number, code="old")
        record(name, number)
    elif behaviour == "grown":
        record(name, number, extra="new")
    elif behaviour == "retyped":
        record(name, number, code=number)
    elif behaviour == "long_names":
        record(name, number, **{LONG: "there"})
    elif behaviour == "strange":
        record(
            name, number, code="half \ud800 a letter", updated_at="2026-01-01T10:00:00.25+05:30",
            order=True, detail={"path": "C:\\u0000", "nul": "a\0b"},
        )  # fmt: skip
    elif behaviour == "levels":
        deep: dict = {}
        for _ in range(400):
            deep = {"a": deep}
        record(name, number, detail=deep if number == rows else {})
    elif behaviour == "unkeyed":
        record(name, number, id=None if number % 2 else number)
    elif behaviour == "global":
        record(name, number)
        say("STATE", state={"type": "GLOBAL", "global": {"stream_states": []}})
    else:
        record(name, number)


def main() -> None:
    usual = {"behaviour": "plain"}
    if "--faker" in sys.argv:
        sys.argv.remove("--faker")
        usual = {"behaviour": "slow", "rows": 1000}
    verb = sys.argv[1]
    if verb == "spec":
        say("SPEC", spec={"connectionSpecification": SPEC})
        return
    config = usual | argument("--config")
    if verb == "check" and config["behaviour"] == "check_floods":
        for _ in range(80):
            sys.stdout.write("x" * 2**20 + "\n")
        sys.stdout.flush()
        time.sleep(3600)
    if verb == "check" and config["behaviour"] == "check_hangs":
        time.sleep(3600)
    if verb == "check":
        if config["behaviour"] == "checks_when_told":
            wait_for(Path(config["marker"]))
        bad = config["behaviour"] == "refuses"
        status = {"status": "FAILED", "message": "wrong password"} if bad else {"status": "SUCCEEDED"}
        say("CONNECTION_STATUS", connectionStatus=status)
    elif verb == "discover":
        if config["behaviour"] == "discovers_when_told":
            wait_for(Path(config["marker"]))
        say("CATALOG", catalog={"streams": catalog(config)})
    elif verb == "read":
        read(config)


if __name__ == "__main__":
    main()
