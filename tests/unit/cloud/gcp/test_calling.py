"""What both ways to Google share: what is asked again and what is not, and that credentials are led nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests as http

from hangar.cloud.gcp import calling
from hangar.cloud.gcp.compute import Compute
from hangar.cloud.gcp.errors import GoogleRefused, NotReady
from hangar.cloud.gcp.rest import Rest
from hangar.errors import CloudError
from tests.unit.cloud.gcp.line import Line, refused, session

PATH = "projects/p/zones/z/disks/d"
WAYS: dict[str, Callable[[Line], Any]] = {
    "client": lambda line: Compute(session(line)).get(PATH),
    "rest": lambda line: Rest(session(line)).call("GET", "iam", "v1/x"),
}
ask = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "FIRST", 0.001)


@ask
@pytest.mark.parametrize(
    "failure",
    [refused(503), refused(429), refused(500), (502, b"<html>"), refused(403, "rateLimitExceeded"),
     refused(400, "resourceNotReady"), http.ConnectionError("reset"), http.ReadTimeout("slow")],
)  # fmt: skip
def test_what_can_pass_is_tried_again(ask: Callable[[Line], Any], failure: Any) -> None:
    line = Line(failure, failure, (200, {"name": "x"}))
    assert ask(line) == {"name": "x"}
    assert len(line.asked) == 3


@ask
@pytest.mark.parametrize(
    "failure", [refused(403, "forbidden"), refused(400, "invalid"), refused(409), refused(404)]
)
def test_a_plain_no_is_not_asked_again(ask: Callable[[Line], Any], failure: Any) -> None:
    line = Line(failure)
    with pytest.raises(GoogleRefused):
        ask(line)
    assert len(line.asked) == 1


@ask
def test_a_no_that_names_no_permission_leads_to_this_environments_doctor(ask: Callable[[Line], Any]) -> None:
    with pytest.raises(GoogleRefused, match="Your account may not do this") as refusal:
        ask(Line(refused(403, "forbidden")))
    assert refusal.value.resolution == (
        "These are the permissions that are missing in p: ./provision.py doctor production"
    )


@ask
def test_what_never_passes_is_given_up_with_its_reason(
    ask: Callable[[Line], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "GIVE_UP", 0.05)
    line = Line(refused(400, "resourceNotReady"))
    with pytest.raises(NotReady, match="Something that Google is still making"):
        ask(line)
    assert len(line.asked) > 1


@ask
def test_a_network_that_is_away_is_named(ask: Callable[[Line], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "GIVE_UP", 0.05)
    with pytest.raises(CloudError) as silent:
        ask(Line(http.ConnectionError("no route")))
    assert silent.value.brief.startswith("Google's API does not answer at https://")
    assert silent.value.details == "* ConnectionError: no route"


@ask
def test_a_redirect_is_not_followed(ask: Callable[[Line], Any]) -> None:
    """It could lead the credentials elsewhere."""
    line = Line((302, b"", {"Location": "https://elsewhere.example.org/"}))
    with pytest.raises(CloudError):
        ask(line)
    assert len(line.asked) == 1


@ask
def test_a_login_page_in_between_is_not_taken_for_google(ask: Callable[[Line], Any]) -> None:
    line = Line((200, b"<html>Welcome to the hotel</html>"))
    with pytest.raises(CloudError, match=r"Something else than Google's API answers at https://"):
        ask(line)
    assert len(line.asked) == 1
