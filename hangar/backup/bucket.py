"""The bucket of Cloud Storage that takes the machine's backups, seen by whoever is logged in to Google here."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from hangar.backup.records import LARGEST_INDEX, Backup, fetched, is_ours
from hangar.cloud.gcp.api import Api
from hangar.config import Config

PAGE = 1000
"""Names in an answer: Google's most."""

LISTED = "items(name,size),nextPageToken"


class Bucket:
    """What is in it goes by the bucket's own lifecycle; nothing is removed from here."""

    def __init__(self, config: Config) -> None:
        wanted = config.backup.gcs
        self._rest = Api(str(config.gcp.project), config.environment, config.gcp.api_endpoint).rest
        self._path = f"b/{quote(str(wanted.bucket), safe='')}/o"
        self._prefix = f"{wanted.folder}/" if wanted.folder else ""
        self.name = f"gs://{wanted.bucket}/{wanted.folder}".rstrip("/")

    def sizes(self) -> dict[str, int]:
        """Every index and object with its size.

        Raises:
            GoogleRefused: it may not be listed, or there is none.
        """
        found: dict[str, int] = {}
        asked = {"prefix": self._prefix, "delimiter": "/", "maxResults": str(PAGE), "fields": LISTED}
        while True:
            page = self._rest.call("GET", "storage", self._path, params=asked)
            for one in page.get("items", []):
                name = str(one["name"]).removeprefix(self._prefix)
                if is_ours(name):
                    found[name] = int(one["size"])
            if not page.get("nextPageToken"):
                return found
            asked["pageToken"] = str(page["nextPageToken"])

    def indexes(self, names: Iterable[str]) -> list[Backup]:
        """The indexes of these names; a torn one is none."""
        return fetched(names, self.get)

    def get(
        self, names: Sequence[str], folder: Path, as_fresh: bool = False, most: int = LARGEST_INDEX
    ) -> None:
        """Files into a folder, none larger than `most`; `as_fresh` under the names that they have until they are known
        to be whole.
        """
        for name in names:
            place = folder / (f".{name}.new" if as_fresh else name)
            self._rest.save(f"{self._path}/{quote(self._prefix + name, safe='')}", place, most)
