"""What the section `monitoring` takes of receivers of alerts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hangar.config import Config
from hangar.config.monitoring import TAKEN
from hangar.errors import ConfigError

Make = Callable[..., Config]


@pytest.mark.parametrize("name", TAKEN)
def test_no_receiver_gets_a_password_of_the_monitorings_own(make_config: Make, name: str) -> None:
    """It would be asked for as if it were an address, and stand in what is said of the failure."""
    with pytest.raises(ConfigError) as refused:
        make_config(f"monitoring.alerts={{night: {{kind: webhook, secret: {name}}}}}")
    assert refused.value.details == (
        f'monitoring.alerts.night.secret: "{name}" is a password of the monitoring\'s own; another name would be right'
    )


def test_a_receiver_has_a_secret_of_its_own(make_config: Make) -> None:
    found = make_config("monitoring.alerts={night: {kind: webhook, secret: PAGER_URL}}").monitoring.alerts
    assert found["night"].secret == "PAGER_URL"
