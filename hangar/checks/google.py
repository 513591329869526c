"""What a machine on Google Cloud needs: a login, APIs that are on, permissions, a project that does not contradict."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from hangar.checks import controller
from hangar.checks.finding import Finding, ok
from hangar.cloud.gcp import abreast
from hangar.errors import CloudError, HangarError
from hangar.given import given, is_elsewhere

if TYPE_CHECKING:
    from hangar.cloud.gcp.api import Api
    from hangar.config import Config

SERVICES = (
    "compute.googleapis.com", "iam.googleapis.com", "cloudresourcemanager.googleapis.com",
    "storage.googleapis.com", "iap.googleapis.com",
)  # fmt: skip


SECRET_MANAGER = "secretmanager.googleapis.com"
"""Needed only where platform.yml says that it has the secrets."""

KMS = "cloudkms.googleapis.com"
"""Asked only where platform.yml names a key; the key's own project needs it, and this one to look."""

MONITORING = ("monitoring.googleapis.com", "logging.googleapis.com")
"""Needed only where platform.yml says that Google keeps the figures; the machine writes to both."""


def look(config: "Config") -> list[Finding]:
    """Everything at once; changes nothing. What needs a login is not asked without one."""
    from hangar.cloud.gcp.api import Api

    findings = [controller.python(), controller.ssh_client(), controller.age(), tunnel(config)]
    api = Api(str(config.gcp.project), config.environment, config.gcp.api_endpoint)
    logged_in = _asked("Google login", lambda: login(api))
    findings.append(logged_in)
    if logged_in.state != "missing":
        checks = _checks(api, config)
        # Side by side: one after the other they would be most of what a person waits for.
        findings += abreast.ask(
            {name: partial(_asked, name, check) for name, check in checks.items()}
        ).values()
    return findings


def _checks(api: "Api", config: "Config") -> dict[str, Callable[[], Finding]]:
    """What is asked of Google, by its name, in the order in which it is told."""
    checks: dict[str, Callable[[], Finding]] = {
        "Google APIs": lambda: services(api, config),
        "Permissions": lambda: permissions(api, config),
        "Zone": lambda: in_zone(api, str(config.gcp.zone)),
        "OS Login": lambda: os_login(api),
    }
    if config.gcp.network.existing:
        checks["Network"] = lambda: network(api, config)
    if config.gcp.kms_key:
        checks["Key"] = lambda: key(api, config)
    if is_elsewhere(config):
        checks["Secrets"] = lambda: secrets(api, config)
    return checks


def _asked(name: str, check: Callable[[], Finding]) -> Finding:
    """A check that Google refuses to answer is a finding too."""
    try:
        return check()
    except HangarError as error:
        detail = " ".join(f"{error.brief} {error.details.partition(chr(10))[0]}".split())
        return Finding(name, "missing", detail, error.resolution)


def login(api: "Api") -> Finding:
    """Somebody is logged in. For what a person's login asks, another project may have to answer."""
    api.session.renew()
    account, other = api.session.account, api.session.counted_for
    if other != api.project:
        return Finding(
            "Google login", "warning", f"{account}; its calls are counted for {other}, which needs the APIs too",
            f"gcloud auth application-default set-quota-project {api.project}",
        )  # fmt: skip
    return ok("Google login", account)


def tunnel(config: "Config") -> Finding:
    """Which program makes the tunnel, and why; gcloud needs a login of its own."""
    from hangar.cloud.gcp import iap

    chosen = iap.choose(config.gcp.tunnel, config.gcp.tunnel_endpoint)
    if not chosen.gcloud:
        return ok("Tunnel", f"by Hangar's relay: {chosen.why}")
    if shutil.which(chosen.gcloud) is None:
        return Finding(
            "Tunnel", "missing", "gcp.tunnel is gcloud, which is not installed here",
            "Install it (https://cloud.google.com/sdk/docs/install), or set gcp.tunnel: relay in platform.yml",
        )  # fmt: skip
    account = iap.account_of(chosen.gcloud)
    if not account:
        return Finding(
            "Tunnel", "missing", "gcp.tunnel is gcloud, which has no login here",
            "gcloud auth login (or set gcp.tunnel: relay in platform.yml)",
        )  # fmt: skip
    return ok("Tunnel", f"by gcloud, logged in as {account}")


def services(api: "Api", config: "Config") -> Finding:
    """The APIs are enabled in the project."""
    needed = [*SERVICES]
    needed += [SECRET_MANAGER] if is_elsewhere(config) else []
    needed += MONITORING if config.monitoring.backend == "google" else ()
    names = [f"{api.root}/services/{service}" for service in needed]
    found = api.rest.call("GET", "serviceusage", f"v1/{api.root}/services:batchGet", params={"names": names})
    enabled = {
        one["name"].rpartition("/")[2] for one in found.get("services") or () if one.get("state") == "ENABLED"
    }
    missing = [service for service in needed if service not in enabled]
    if missing:
        return Finding(
            "Google APIs", "missing", f"not enabled in {api.project}: {', '.join(missing)}",
            f"gcloud services enable {' '.join(missing)} --project {api.project}",
        )  # fmt: skip
    return ok("Google APIs", "enabled")


def permissions(api: "Api", config: "Config") -> Finding:
    """Everything that Hangar ever does in the project is allowed to this account."""
    from hangar.cloud.gcp.permissions import AN_OWNERS, FOR_MONITORING, NEEDED, OWNERS_OTHERWISE, grants

    needed = (*NEEDED, *FOR_MONITORING) if config.monitoring.backend == "google" else NEEDED
    held = _held(api, (*needed, AN_OWNERS))
    missing = [permission for permission in needed if permission not in held]
    if AN_OWNERS in held and set(missing) <= set(OWNERS_OTHERWISE):
        missing = []
    if not missing:
        return ok("Permissions", f"all {len(needed)}")
    cure = "\n".join(grants(missing, api.project, api.session.member))
    return Finding("Permissions", "missing", f"missing: {', '.join(missing)}", cure)


def _held(api: "Api", permissions: Sequence[str]) -> set[str]:
    """Which of them this account has on the project, in as many calls as Google wants for so many."""
    from hangar.cloud.gcp.permissions import AT_ONCE as MOST

    path, held = f"v3/{api.root}:testIamPermissions", set()
    for at in range(0, len(permissions), MOST):
        asked = {"permissions": list(permissions[at : at + MOST])}
        held |= set(api.rest.call("POST", "cloudresourcemanager", path, asked).get("permissions") or ())
    return held


def key(api: "Api", config: "Config") -> Finding:
    """The key of the disks is there, for encrypting, and in force. It is Google's own account that uses it: whoever may
    not look is only warned.
    """
    from hangar.cloud.gcp.errors import LOOKING_ROLE, OFF, GoogleRefused, NotThere

    name = str(config.gcp.kms_key)
    _, project, _, location, _, ring, _, short = name.split("/")
    where = f"--location {location} --keyring {ring} --project {project}"
    try:
        found = api.rest.call("GET", "cloudkms", f"v1/{name}")
    except NotThere:
        return Finding("Key", "missing", f"{name} is not there", f"gcloud kms keys list {where}")
    except GoogleRefused as error:
        if error.status != 403:
            raise
        off = error.reason in OFF
        why = f"{KMS} is off in {api.project}" if off else "you may not"
        ask = (
            f"Ask whoever may: gcloud kms keys describe {short} {where}\nThey can let you look: gcloud kms keys "
            f"add-iam-policy-binding {short} {where} --member {api.session.member} --role {LOOKING_ROLE}"
        )
        cure = error.resolution if off else ask
        return Finding("Key", "warning", f"{name} has to be there and in force; not looked at: {why}", cure)
    if found.get("purpose") != "ENCRYPT_DECRYPT":
        detail = f"{name} is not for encrypting disks (its purpose: {found.get('purpose')})"
        cure = f"gcloud kms keys create NAME --purpose encryption {where}"
        return Finding("Key", "missing", detail, cure)
    primary = found.get("primary") or {}
    if primary.get("state") != "ENABLED":
        number = str(primary.get("name", "VERSION")).rpartition("/")[2]
        state = str(primary.get("state", "absent")).lower()
        cure = f"gcloud kms keys versions enable {number} --key {short} {where}"
        return Finding("Key", "missing", f"{name}: its primary version {number} is {state}", cure)
    return ok("Key", short)


def secrets(api: "Api", config: "Config") -> Finding:
    """Each secret that is named is there and has a version in force, and who reads it is ours to say."""
    from hangar.cloud.gcp.names import Names
    from hangar.cloud.gcp.secrets import lacking, read

    wanted, names = given(config), Names(config.environment, api.project, str(config.gcp.zone))
    lacks = lacking(api, names, wanted)
    told, cures = [], []
    try:
        read(api, names, wanted, ())
    except CloudError as error:
        if not lacks:
            raise
        told.append(f"{error.brief} {error.details.partition(chr(10))[0]}")
        cures.append(error.resolution)
    if lacks:
        told.append(f"missing: {'; '.join(one.why for one in lacks)}")
        cures += [one.cure for one in lacks]
        return Finding("Secrets", "missing", " ".join(told), "\n".join(dict.fromkeys(cures)))
    return ok("Secrets", f"{len(wanted)} in Secret Manager" if wanted else "none is named")


def in_zone(api: "Api", zone: str) -> Finding:
    found = api.compute.find(f"{api.root}/zones/{zone}")
    if found is None or found.get("status") != "UP":
        what = "there is no such zone" if found is None else "it is down"
        return Finding(
            "Zone", "missing", f"{zone}: {what}", f"gcloud compute zones list --project {api.project}"
        )
    return ok("Zone", zone)


def os_login(api: "Api") -> Finding:
    from hangar.cloud.gcp.views import is_on

    project: dict[str, Any] = api.compute.get(api.root)
    items = (project.get("commonInstanceMetadata") or {}).get("items") or ()
    if any(one["key"] == "enable-oslogin" and is_on(one.get("value")) for one in items):
        return Finding(
            "OS Login", "missing", "the project uses it, and Hangar does not support it yet",
            f"gcloud compute project-info add-metadata --project {api.project} --metadata enable-oslogin=FALSE",
        )  # fmt: skip
    return ok("OS Login", "not used by the project (what an organisation enforces is not asked)")


def network(api: "Api", config: "Config") -> Finding:
    """A network that was there before has what Hangar's own would have; Hangar changes nothing of it."""
    from hangar.cloud.gcp.views import subnetwork

    name, region = config.gcp.network.subnetwork, config.gcp.region
    found = api.compute.find(f"{api.root}/regions/{region}/subnetworks/{name}")
    if found is None:
        cure = f"gcloud compute networks subnets list --project {api.project}"
        return Finding("Network", "missing", f"there is no subnetwork {name} in {region}", cure)
    if (there := found["network"].rpartition("/")[2]) != config.gcp.network.existing:
        return Finding(
            "Network", "missing", f"{name} is a subnetwork of {there}, not of {config.gcp.network.existing}",
            f"gcloud compute networks subnets list --network {config.gcp.network.existing} --project {api.project}",
        )  # fmt: skip
    options = {
        "Private Google Access": "--enable-private-ip-google-access",
        "flow logs": "--enable-flow-logs",
    }
    view = subnetwork(found)
    lacks = [what for what in options if view[what] == "no"]
    if lacks:
        update = f"gcloud compute networks subnets update {name} --region {region} --project {api.project}"
        return Finding(
            "Network", "warning", f"{name} has no {' and no '.join(lacks)}",
            " ".join([update, *(options[what] for what in lacks)]),
        )  # fmt: skip
    return ok("Network", str(name))
