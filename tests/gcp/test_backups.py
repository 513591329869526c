"""Backups in a bucket, on the stand-in: what the machine's account may not do it does not need, and people read it."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.auth.transport.requests import Request
from google.oauth2 import service_account
from hangar_backup import bucket, described, sending
from hangar_backup.described import Refused

from hangar import paths, process
from hangar.backup import bucket as seen_from_here
from hangar.backup import fetching, keys, signers, target
from hangar.backup.folder import Folder
from hangar.backup.records import Backup, parse, plain
from hangar.cloud.gcp.errors import GoogleRefused
from hangar.config import Config
from hangar.ssh.keys import ensure_key
from tests.gcp.conftest import Environment
from tests.google import schema
from tests.google.client import Google
from tests.google.discovery import catalog

REPO = Path(__file__).resolve().parents[2]

FIRST, SECOND = "20261101T031500Z", "20261102T031500Z"
BUCKET = described.Bucket("acme-backups", "hangar/production")
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


@pytest.fixture
def metadata(google: Google, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Google's metadata server, as far as the machine asks it: its account's token, to whoever knows the header."""
    key = service_account.Credentials.from_service_account_file(
        str(google.key_file("machine")), scopes=[SCOPE]
    )
    key.refresh(Request())
    says = {"access_token": key.token}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers["Metadata-Flavor"] == "Google" else 403)
            self.end_headers()
            self.wfile.write(json.dumps(says).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(bucket, "METADATA", f"http://127.0.0.1:{server.server_port}/token")
        yield says
        server.shutdown()


@pytest.fixture
def settings(google: Google, environment: Environment) -> Config:
    """An environment whose machine sends to a bucket that somebody has made."""
    found = environment.settings("backup.gcs.bucket=acme-backups", "backup.gcs.folder=hangar/production")
    there = target.of(found)
    assert isinstance(there, seen_from_here.Bucket)
    there._rest.call("POST", "storage", "b", {"name": "acme-backups"}, {"project": google.project})
    return found


@pytest.fixture
def send(
    google: Google, metadata: dict[str, str], settings: Config, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Sends as the machine does, which has objectCreator's one permission."""
    monkeypatch.setattr(bucket, "STORAGE", f"{google.base_url}/upload/storage/v1/b")
    monkeypatch.setattr(bucket, "PAUSE", 0.01)

    def sent(place: Path, *names: str, to: described.Bucket = BUCKET) -> None:
        google.deny(
            "storage.objects.get", "storage.objects.list", "storage.objects.delete", "storage.buckets.*"
        )
        try:
            sending.send(to, names, place)
        finally:
            google.deny()

    return sent


def lay(settings: Config, identifier: str, *parts: str) -> Backup:
    """A backup in this computer's folder, as the spool has it."""
    folder = Folder.of(settings)
    keys.ensure(settings)
    sealed = []
    for part in parts:
        name = f"{part}-{identifier}.age"
        public = paths.backup_key("production").with_name("backup-key.pub")
        process.run(["age", "-R", str(public), "-o", str(folder.fresh(name))], input=part * 9)
        folder.take(name)
        place = folder.path / name
        sealed.append({"part": part, "object": name, "bytes": place.stat().st_size,
                       "sha256": fetching._digest(place), "made": identifier})  # fmt: skip
    index = {"id": identifier, "machine": "hangar-production", "made": "", "seconds": 1.0, "parts": sealed,
             "numbers": {}, "roles": [], "new": list(parts)}  # fmt: skip
    folder.write_index(signed(index))
    return folder.require(identifier)


def signed(index: dict[str, Any]) -> Backup:
    """By the machine's key, which this computer has met."""
    key = paths.state_dir("production") / "signing"
    public = ensure_key(key, "hangar-production signs backups").split()[:2]
    signers.remember("production", " ".join(public), [])
    made = parse(index)
    assert made
    argv = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", signers.NAMESPACE]
    return replace(made, signature=process.run(argv, input=plain(made)).stdout)


def names(backup: Backup) -> list[str]:
    return [*(part.object for part in backup.parts), f"{backup.id}.json"]


def test_the_machine_adds_and_needs_no_more(
    google: Google, settings: Config, send: Callable[..., None]
) -> None:
    backup = lay(settings, FIRST, "secrets", "files")
    since = len(google.journal())
    send(Folder.of(settings).path, *names(backup))
    calls = google.journal(since=since)
    assert {call["method"] for call in calls} == {"storage.objects.insert"}
    assert [call["permissions"] for call in calls] == [["storage.objects.create"]] * 3
    assert {call["values"]["ifGenerationMatch"] for call in calls} == {"0"}
    assert [call["values"]["name"] for call in calls] == [
        f"hangar/production/{name}" for name in names(backup)
    ]
    assert all("machine" in call["principal"] for call in calls)


def test_what_is_there_is_not_replaced(google: Google, settings: Config, send: Callable[..., None]) -> None:
    folder = Folder.of(settings).path
    backup = lay(settings, FIRST, "files")
    send(folder, *names(backup))
    before = google.table("objects")
    (folder / backup.parts[0].object).write_bytes(b"evil")
    with pytest.raises(Refused) as refused:
        send(folder, backup.parts[0].object)
    assert str(refused.value) == (
        "The backup was not sent to gs://acme-backups/hangar/production: an object of that name is there already, "
        "and is not replaced"
    )
    assert google.table("objects") == before


def test_it_comes_back_with_a_persons_login(settings: Config, send: Callable[..., None]) -> None:
    folder = Folder.of(settings)
    send(folder.path, *names(lay(settings, FIRST, "files")))
    send(folder.path, *names(lay(settings, SECOND, "secrets", "files")))
    (folder.path / "20261103T031500Z.json").write_text("{")
    send(folder.path, "20261103T031500Z.json")
    folder.keep(set())
    (folder.path / "20261103T031500Z.json").unlink()
    there = target.of(settings)
    assert there
    fetching.from_target(there, folder, "latest", lambda said: None)
    assert [one.id for one in folder.backups()] == [SECOND], "a torn index is none"
    assert folder.missing(folder.require("latest")) == []


def test_every_page_of_a_long_list_is_read(
    settings: Config, send: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_from_here, "PAGE", 2)
    backup = lay(settings, FIRST, "secrets", "airflow", "warehouse", "files")
    send(Folder.of(settings).path, *names(backup))
    there = target.of(settings)
    assert there
    assert there.sizes().keys() == set(names(backup))


def test_another_folder_of_the_bucket_is_not_looked_at(settings: Config, send: Callable[..., None]) -> None:
    backup = lay(settings, FIRST, "files")
    for other in ("hangar/production-two", "hangar/production/old", ""):
        send(Folder.of(settings).path, *names(backup), to=described.Bucket("acme-backups", other))
    there = target.of(settings)
    assert there
    assert there.sizes() == {}


@pytest.mark.parametrize("fault", ["503-before", "503-after", "reset-before", "reset-after", "429"])
def test_what_passes_is_tried_again(
    google: Google, settings: Config, send: Callable[..., None], fault: str
) -> None:
    """An answer that was lost leaves the object there: that is no reason to fail."""
    backup = lay(settings, FIRST, "files")
    google.fault("storage.objects.insert", fault)
    send(Folder.of(settings).path, *names(backup))
    assert len(google.table("objects")) == 2


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("403", "it does not let this machine add objects (its service account needs roles/storage.objectCreator"),
        ("503-before", "it answers 503: The service is currently unavailable."),
        ("reset-before", "it does not answer"),
    ],
)  # fmt: skip
def test_what_stays_is_said_and_no_index_names_what_is_not_there(
    google: Google, settings: Config, send: Callable[..., None], fault: str, told: str
) -> None:
    backup = lay(settings, FIRST, "files")
    google.fault("storage.objects.insert", fault, nth=0)
    with pytest.raises(Refused, match=f"not sent to gs://acme-backups/hangar/production: {re.escape(told)}"):
        send(Folder.of(settings).path, *names(backup))
    assert google.table("objects") == {}


def test_a_bucket_that_is_not_there_is_named_on_both_sides(
    settings: Config, send: Callable[..., None]
) -> None:
    backup = lay(settings, FIRST, "files")
    with pytest.raises(Refused, match="not sent to gs://elsewhere: there is no such bucket"):
        send(Folder.of(settings).path, *names(backup), to=described.Bucket("elsewhere", ""))
    gone = target.of(settings.model_copy(update={"backup": settings.backup.model_copy(
        update={"gcs": settings.backup.gcs.model_copy(update={"bucket": "elsewhere"})})}))  # fmt: skip
    assert gone
    with pytest.raises(GoogleRefused):
        gone.sizes()


def test_a_token_that_has_ended_is_told(
    metadata: dict[str, str], settings: Config, send: Callable[..., None]
) -> None:
    metadata["access_token"] = "ya29.another"
    with pytest.raises(Refused, match="it does not know this machine's service account"):
        send(Folder.of(settings).path, *names(lay(settings, FIRST, "files")))


def test_a_machine_without_an_account_of_googles_says_so(
    settings: Config, send: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "METADATA", "http://127.0.0.1:9/token")
    with pytest.raises(Refused, match="this machine has no service account of Google's"):
        send(Folder.of(settings).path, *names(lay(settings, FIRST, "files")))


def test_an_upload_that_takes_too_long_is_given_up(
    google: Google, settings: Config, send: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = lay(settings, FIRST, "files")
    monkeypatch.setattr(sending, "HOURS", -1.0)
    with pytest.raises(Refused, match="it took more than"):
        send(Folder.of(settings).path, *names(backup))
    assert google.table("objects") == {}


def test_what_was_cut_short_on_its_way_here_is_fetched_anew(
    google: Google, settings: Config, send: Callable[..., None]
) -> None:
    folder = Folder.of(settings)
    send(folder.path, *names(lay(settings, FIRST, "files")))
    folder.keep(set())
    google.fault("storage.objects.get", "reset-before")
    there = target.of(settings)
    assert there
    fetching.from_target(there, folder, FIRST, lambda said: None)
    assert folder.missing(folder.require(FIRST)) == []


def test_the_guides_lifecycle_is_one_that_google_takes() -> None:
    """Objects outlive every index that may refer to them: by a week at least."""
    (text,) = re.findall(r"lifecycle\.json <<'END'\n(.*?)\nEND", (REPO / "docs/backup.md").read_text(), re.S)
    rules = json.loads(text)
    document = catalog().by_id["storage.buckets.insert"].document
    assert schema.problems({"lifecycle": rules}, {"$ref": "Bucket"}, document, "bucket") == []
    ages = {rule["condition"]["matchesSuffix"][0]: rule["condition"]["age"] for rule in rules["rule"]}
    assert set(ages) == {".json", ".age"}
    assert ages[".age"] - ages[".json"] > 7
