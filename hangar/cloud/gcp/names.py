"""What everything of an environment is called on Google Cloud. Standing state is the cloud: these names find it."""

import hashlib
from dataclasses import dataclass

ACCOUNT_LENGTH = 30
"""Google's limit for a service account's id."""

LABEL = "hangar-environment"
IMAGE_LABEL = "hangar-image"


@dataclass(frozen=True)
class Names:
    """`environment` has at most 30 characters, so all fit Compute's limit of 63."""

    environment: str
    project: str
    zone: str

    @property
    def region(self) -> str:
        return self.zone.rpartition("-")[0]

    @property
    def machine(self) -> str:
        """Also the network's, the subnetwork's and the router's: each kind has names of its own."""
        return f"hangar-{self.environment}"

    @property
    def data_disk(self) -> str:
        return f"{self.machine}-data"

    @property
    def boot_disk(self) -> str:
        return f"{self.machine}-boot"

    @property
    def policy(self) -> str:
        return f"{self.machine}-daily"

    @property
    def firewalls(self) -> tuple[str, str, str, str]:
        """Admit IAP over IPv4, over IPv6; deny the rest over IPv4, over IPv6."""
        return (
            f"{self.machine}-iap",
            f"{self.machine}-iap6",
            f"{self.machine}-deny",
            f"{self.machine}-deny6",
        )

    @property
    def account(self) -> str:
        """The service account's id; a long one is cut and made unique again."""
        if len(self.machine) <= ACCOUNT_LENGTH:
            return self.machine
        digest = hashlib.sha256(self.machine.encode()).hexdigest()[:6]
        return f"{self.machine[: ACCOUNT_LENGTH - 7].rstrip('-')}-{digest}"

    @property
    def email(self) -> str:
        return f"{self.account}@{self.project}.iam.gserviceaccount.com"

    @property
    def bucket(self) -> str:
        """Holds the locks of all environments of the project."""
        return f"hangar-{self.project}-locks"

    @property
    def description(self) -> str:
        """On what has no labels: whose it is."""
        return f"Made by Hangar for the environment {self.environment}."

    @property
    def root(self) -> str:
        return f"projects/{self.project}"

    @property
    def in_zone(self) -> str:
        return f"{self.root}/zones/{self.zone}"

    @property
    def in_region(self) -> str:
        return f"{self.root}/regions/{self.region}"

    @property
    def everywhere(self) -> str:
        return f"{self.root}/global"

    @property
    def instance(self) -> str:
        return f"{self.in_zone}/instances/{self.machine}"


def last(link: str) -> str:
    """The name at the end of a link of Google's."""
    return link.rpartition("/")[2]
