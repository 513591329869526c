"""Everything that is asked of Google for one project: Compute Engine through its client, the rest over REST."""

import time
from collections.abc import Callable

from hangar.cloud.gcp.compute import Compute
from hangar.cloud.gcp.credentials import Session
from hangar.cloud.gcp.rest import Rest


class Api:
    """`project` is where everything happens, `environment` for which; `where` an endpoint in place of Google's."""

    def __init__(self, project: str, environment: str, where: str | None = None) -> None:
        self.project = project
        self.session = Session(project, environment, where)
        self.compute, self.rest = Compute(self.session), Rest(self.session)
        self.sleep: Callable[[float], None] = time.sleep

    @property
    def root(self) -> str:
        return f"projects/{self.project}"
