"""What every call to Google shares, through its client or over REST: what is asked again, and how a no is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.api_core.timeout import ConstantTimeout
from google.auth import exceptions as login
from google.protobuf.json_format import ParseError

from hangar.cloud.gcp.credentials import Session, ended
from hangar.cloud.gcp.errors import AWAY, NotReady, is_too_often, translate
from hangar.cloud.gcp.refusal import Refusal, read
from hangar.errors import CloudError, HangarError

FIRST, LONGEST = 1.0, 16.0
"""Seconds before another try of what can pass: at most, and ever more; less by chance, so that many do not come at
once."""

GIVE_UP = 90.0
"""Seconds after which it is not tried again. A new service account may be unknown for a minute."""

ANSWER = 60.0
"""Seconds for one answer."""


def patient(answer: float = ANSWER, *, is_paced: bool = False) -> Retry:
    """Asks again what can pass; what is asked must bear being asked twice. One answer may take `answer` seconds.
    `is_paced`: whoever asks looks again and again anyway, and hears that it is too often.
    """
    limit = GIVE_UP + answer - ANSWER
    predicate = _passes_unless_too_often if is_paced else passes
    return Retry(predicate=predicate, initial=FIRST, maximum=LONGEST, multiplier=2.0, timeout=limit)


def limits(answer: float = ANSWER, *, is_paced: bool = False) -> dict[str, Any]:
    """The same for a call of Google's client."""
    each = ConstantTimeout(answer)  # type: ignore[no-untyped-call]  # as below
    return {"retry": patient(answer, is_paced=is_paced), "timeout": each}


def _passes_unless_too_often(error: BaseException) -> bool:
    if isinstance(error, exceptions.GoogleAPICallError):
        refusal = _refusal(None, "", error)
        if is_too_often(refusal.status, refusal.reason):
            return False
    return passes(error)


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, exceptions.GoogleAPICallError):
        refusal = _refusal(None, "", error)
        limited = is_too_often(refusal.status, refusal.reason)
        return refusal.status in AWAY or limited or isinstance(translate(refusal), NotReady)
    if isinstance(error, login.RefreshError):
        return bool(error.retryable)
    away = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return isinstance(error, (*away, login.TransportError))


@contextmanager
def in_words(session: Session, place: str, address: str) -> Iterator[None]:
    """What Google's library raises becomes ours. `place` is the API and the method, `address` where it was asked with
    the session's credentials.

    Raises:
        GoogleRefused: one of its kinds. CloudError: the login has ended, or nobody answers.
    """
    try:
        yield
    except exceptions.RetryError as error:
        raise _told(session, place, address, error.cause) from error
    except (
        exceptions.GoogleAPICallError, requests.RequestException, login.GoogleAuthError, ParseError,
    ) as error:  # fmt: skip
        raise _told(session, place, address, error) from error


def require_success(response: requests.Response) -> None:
    """Raises Google's exception for an answer that is a no."""
    if response.status_code >= 400:
        raise exceptions.from_http_response(response)  # type: ignore[no-untyped-call]  # Google gives it no types


def not_google(address: str, error: Exception) -> CloudError:
    """What answered is not Google: its page is no JSON."""
    return CloudError(
        f"Something else than Google's API answers at {address}.",
        f"* What it said is no JSON: {str(error)[:300]}",
        "Is there a login page, or a proxy, between this computer and Google? Then run the same command again.",
    )


def _told(session: Session, place: str, address: str, error: BaseException) -> HangarError:
    if isinstance(error, exceptions.GoogleAPICallError):
        return translate(_refusal(session, place, error))
    if isinstance(error, ParseError):
        return not_google(address, error)
    found = ended(error) if isinstance(error, Exception) else None
    return found or CloudError(
        f"Google's API does not answer at {address}.",
        f"* {type(error).__name__}: {str(error)[:300]}",
        "Look at this computer's network (and gcp.api_endpoint), then run the same command again.",
    )


def _refusal(session: Session | None, place: str, error: exceptions.GoogleAPICallError) -> Refusal:
    """From the answer itself: the exception keeps only some of what Google said. Without a session it is for judging
    alone, and nobody reads it.
    """
    status, response = int(error.code or 0), error.response
    try:
        body = response.json()
    except ValueError:
        body = {"error": {"message": response.text[:500]}}
    if session is None:
        return read("", place, status, body)
    return read(session.project, place, status, body, session.member, session.environment)
