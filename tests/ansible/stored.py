"""A warehouse as it is described, and the verifier of its roles' password."""

from __future__ import annotations

import os

from hangar_warehouse import passwords
from hangar_warehouse.described import Described, Role, Schema

VERIFIER = passwords.verifier("secret")
DESCRIBED = Described(
    version="17",
    uid=os.geteuid(),
    port=5432,
    roles={
        "dbt": Role("root", 10, {"statement_timeout": "1h"}, ("CONNECT", "TEMPORARY"), ()),
        "reader": Role("root", 5, {"statement_timeout": "5min"}, ("CONNECT",), ("pg_monitor",)),
    },
    schemas={"gold": Schema("dbt", ("reader",)), "silver": Schema("dbt", ())},
)
