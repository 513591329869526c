"""Service accounts as the other APIs see them: a little later than IAM does."""

import time

from tests.google.world import Call


def is_known(call: Call, email: str) -> bool:
    """Whether the other APIs know an account of the project already."""
    account = call.state.table("serviceAccounts").get(f"projects/{call.project}/serviceAccounts/{email}")
    return account is not None and account["_known"] <= time.time()
