"""A line to Google that ends in this process: it answers as it is told and remembers what it was asked."""

from __future__ import annotations

import json
from typing import Any

import requests
from google.auth.credentials import AnonymousCredentials

from hangar.cloud.gcp.credentials import Session


class Line(requests.adapters.BaseAdapter):
    """Answers in order; the last repeats. An exception is raised."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, body, *headers = answer
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, str(request.url)
        response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response._content_consumed = True
        response.headers.update(*headers)
        return response

    def close(self) -> None: ...

    @property
    def urls(self) -> list[str]:
        """What was asked, without the query."""
        return [str(one.url).partition("?")[0] for one in self.asked]


def session(line: Line, where: str | None = None) -> Session:
    made = Session("p", "production", where)
    made.__dict__.update(credentials=AnonymousCredentials(), _lines=line)  # type: ignore[no-untyped-call]
    return made


def refused(status: int, reason: str = "") -> tuple[int, dict[str, Any]]:
    return status, {"error": {"code": status, "message": "no", "errors": [{"reason": reason}]}}
