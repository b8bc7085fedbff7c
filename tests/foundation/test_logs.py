"""What is written to logs holds no secret, whoever logs it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from structlog.stdlib import ProcessorFormatter

from incidentportal.env import logging_config

FEED = "ofd_" + "Aa-_" * 10 + "abc"
ACK = "4711.dQw4w9WgXcQ-dQw4w9WgXcQ_dQw4w9WgXcQ"
PATHS = [f"/oncall/feed/{FEED}.ics", f"/ack/{ACK}/", f"/ack/together/{ACK}/", f"/ack/test/{ACK}/"]


@pytest.fixture(params=["text", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the portal's own handler writes, in each form."""
    line = dict(logging_config("INFO", request.param)["formatters"]["line"])
    line.pop("()")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ProcessorFormatter(**line))
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)
    if request.param == "json":
        assert all(json.loads(text)["event"] for text in stream.getvalue().splitlines())


@pytest.mark.parametrize("path", PATHS)
def test_a_view_that_raises_shows_no_address(written: io.StringIO, path: str) -> None:
    def broken(request: HttpRequest) -> HttpResponse:
        raise RuntimeError(f"no luck with {request.path} and Bearer abcdefghijkl")

    answer = convert_exception_to_response(broken)(RequestFactory().get(path))
    assert answer.status_code == 500
    text = written.getvalue()
    assert "Internal Server Error: /" in text
    assert "no luck with" in text
    for secret in (FEED, ACK, "abcdefghijkl"):
        assert secret not in text


def test_what_is_no_secret_stays(written: io.StringIO) -> None:
    logging.getLogger("apps.paging").warning("Page %s to %s was sent.", 7, "https://portal.example.com/incidents/3/")
    assert "Page 7 to https://portal.example.com/incidents/3/ was sent." in written.getvalue()
