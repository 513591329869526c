"""Google's own clients against the stand-in, and the smallest machine that they can make."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
import requests
from google.auth.transport.requests import AuthorizedSession
from google.cloud import compute_v1
from google.oauth2 import service_account

from tests.google.client import Google
from tests.google.fixture import google, google_server

__all__ = ["google", "google_server"]

PROJECT, REGION, ZONE = "hangar-test", "europe-west3", "europe-west3-a"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
IMAGE = "projects/debian-cloud/global/images/family/debian-13"


@dataclass
class Cloud:
    """Clients by name (cloud.Instances), each with its endpoint, and a wait that asks the same host."""

    google: Google
    account: str = "operator"

    @cached_property
    def credentials(self) -> Any:
        return service_account.Credentials.from_service_account_file(
            str(self.google.key_file(self.account)), scopes=[SCOPE]
        )

    @cached_property
    def session(self) -> AuthorizedSession:
        return AuthorizedSession(self.credentials)

    def __getattr__(self, name: str) -> Any:
        client = getattr(compute_v1, f"{name}Client")
        made = client(credentials=self.credentials, client_options={"api_endpoint": self.google.base_url})
        self.__dict__[name] = made
        return made

    def request(self, verb: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(verb, f"{self.google.base_url}/{path}", **more)

    def wait(self, operation: compute_v1.Operation) -> compute_v1.Operation:
        where = {"project": PROJECT, "operation": operation.name}
        if operation.zone:
            return self.ZoneOperations.wait(zone=ZONE, **where)
        if operation.region:
            return self.RegionOperations.wait(region=REGION, **where)
        return self.GlobalOperations.wait(**where)

    def done(self, operation: compute_v1.Operation) -> None:
        ended = self.wait(operation)
        assert ended.status == compute_v1.Operation.Status.DONE
        assert not ended.error.errors, ended.error.errors

    def make_network(self) -> None:
        """A network, a subnetwork and a firewall rule for the tunnel."""
        network = compute_v1.Network(name="net", auto_create_subnetworks=False)
        self.done(self.Networks.insert_unary(project=PROJECT, network_resource=network))
        subnetwork = compute_v1.Subnetwork(
            name="sub", network="global/networks/net", ip_cidr_range="10.0.0.0/24"
        )
        self.done(
            self.Subnetworks.insert_unary(project=PROJECT, region=REGION, subnetwork_resource=subnetwork)
        )

    def admit_tunnel(self, **more: Any) -> None:
        rule = compute_v1.Firewall(
            name="tunnel",
            network="global/networks/net",
            allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])],
            source_ranges=["35.235.240.0/20"],
            **more,
        )
        self.done(self.Firewalls.insert_unary(project=PROJECT, firewall_resource=rule))

    def make_instance(self, name: str = "vm", **more: Any) -> None:
        self.make_network()
        self.done(self.insert(instance(name, **more)))

    def insert(self, described: compute_v1.Instance, request_id: str | None = None) -> compute_v1.Operation:
        request = compute_v1.InsertInstanceRequest(project=PROJECT, zone=ZONE, instance_resource=described)
        if request_id:
            request.request_id = request_id
        return self.Instances.insert_unary(request)

    def instance(self, name: str = "vm") -> compute_v1.Instance:
        return self.Instances.get(project=PROJECT, zone=ZONE, instance=name)


def instance(name: str = "vm", *, metadata: dict[str, str] | None = None, **more: Any) -> compute_v1.Instance:
    parameters = compute_v1.AttachedDiskInitializeParams(
        source_image=IMAGE, disk_type=f"zones/{ZONE}/diskTypes/pd-balanced"
    )
    items = [compute_v1.Items(key=key, value=value) for key, value in (metadata or {}).items()]
    described: dict[str, Any] = {
        "name": name,
        "machine_type": f"zones/{ZONE}/machineTypes/e2-small",
        "disks": [compute_v1.AttachedDisk(boot=True, auto_delete=True, initialize_params=parameters)],
        "network_interfaces": [compute_v1.NetworkInterface(subnetwork=f"regions/{REGION}/subnetworks/sub")],
        "metadata": compute_v1.Metadata(items=items),
    }
    return compute_v1.Instance(**(described | more))


@pytest.fixture(scope="session")
def operator(google_server: Google) -> Cloud:
    """The operator's clients: making them costs more than most calls."""
    return Cloud(google_server)


@pytest.fixture
def cloud(google: Google, operator: Cloud) -> Cloud:
    return operator
