"""IAM: service accounts and their own policies."""

import re
import time
from typing import Any

from tests.google.errors import GoogleError
from tests.google.policy import checked, granted, read, write
from tests.google.state import fingerprint, shown
from tests.google.world import PERMISSIONS, Call, handles

ACCOUNT_ID = re.compile(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])")
ACCOUNTS = "serviceAccounts"
PREFIX = "iam.projects.serviceAccounts."


def _accounts(call: Call) -> dict[str, Any]:
    return call.state.table(ACCOUNTS)


def _path(call: Call) -> str:
    """The account's own path; its name may say projects/- and a number in place of the address."""
    name = call.values.get("name") or call.values["resource"]
    wanted = name.split("/")[-1]
    for path, account in _accounts(call).items():
        here = name.split("/")[1] in ("-", account["projectId"])
        if here and wanted in (account["email"], account["uniqueId"]):
            return str(path)
    raise GoogleError(404, "Unknown service account", "notFound")


@handles(PREFIX + "create")
def create(call: Call) -> dict[str, Any]:
    account_id = call.body.get("accountId", "")
    if not ACCOUNT_ID.fullmatch(account_id):
        text = f"Service account ID '{account_id}' must be 6 to 30 characters of lower-case letters, digits and -."
        raise GoogleError(400, text)
    email = f"{account_id}@{call.project}.iam.gserviceaccount.com"
    path = f"projects/{call.project}/serviceAccounts/{email}"
    if path in _accounts(call):
        text = f"Service account {account_id} already exists within project projects/{call.project}."
        raise GoogleError(409, text, "alreadyExists")
    number = call.state.number()
    described = call.body.get("serviceAccount", {})
    account = {
        **{name: described[name] for name in ("displayName", "description") if described.get(name)},
        "name": path,
        "projectId": call.project,
        "uniqueId": number,
        "email": email,
        "oauth2ClientId": number,
        "etag": fingerprint(number),
    }
    _accounts(call)[path] = {**account, "_known": time.time() + call.rules.account_seconds}
    return account


@handles(PREFIX + "get")
def get(call: Call) -> dict[str, Any]:
    return shown(_accounts(call)[_path(call)])


@handles(PREFIX + "list")
def list_(call: Call) -> dict[str, Any]:
    found = [shown(one) for one in _accounts(call).values() if one["projectId"] == call.project]
    return {"accounts": found} if found else {}


@handles(PREFIX + "patch")
def patch(call: Call) -> dict[str, Any]:
    account = _accounts(call)[_path(call)]
    given = call.body.get("serviceAccount", {})
    for name in call.body.get("updateMask", "").split(","):
        if name not in ("displayName", "description", "display_name"):
            raise GoogleError(400, f"The update mask names what cannot be changed: '{name}'.")
        account["displayName" if name == "display_name" else name] = given.get(name, "")
    return shown(account)


@handles(PREFIX + "delete")
def delete(call: Call) -> dict[str, Any]:
    """The account's roles stay in every policy, under the name of a deleted account."""
    account = _accounts(call).pop(_path(call))
    member, gone = f"serviceAccount:{account['email']}", f"{account['email']}?uid={account['uniqueId']}"
    for policy in call.state.table("iamPolicies").values():
        for binding in policy["bindings"]:
            binding["members"] = [
                f"deleted:serviceAccount:{gone}" if one == member else one for one in binding["members"]
            ]
    return {}


@handles(PREFIX + "enable", PREFIX + "disable")
def switch(call: Call) -> dict[str, Any]:
    account = _accounts(call)[_path(call)]
    account.pop("disabled", None)
    if call.method.id.endswith("disable"):
        account["disabled"] = True
    return {}


@handles(PREFIX + "getIamPolicy")
def get_policy(call: Call) -> dict[str, Any]:
    return read(call.state, _path(call), int(call.values.get("options.requestedPolicyVersion", 1)))


@handles(PREFIX + "setIamPolicy")
def set_policy(call: Call) -> dict[str, Any]:
    return write(call, _path(call), call.body.get("policy", {}))


@handles(PREFIX + "testIamPermissions")
def test_permissions(call: Call) -> dict[str, Any]:
    _path(call)
    return granted(call, checked(call.body.get("permissions", [])))


for _verb in ("getIamPolicy", "setIamPolicy"):
    PERMISSIONS[PREFIX + _verb] = lambda call: [f"iam.serviceAccounts.{call.method.id.split('.')[-1]}"]
PERMISSIONS[PREFIX + "patch"] = lambda call: ["iam.serviceAccounts.update"]
