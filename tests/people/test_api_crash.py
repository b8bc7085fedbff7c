"""A fault of the portal itself still speaks the API's language."""

from __future__ import annotations

import json

from django.test import RequestFactory
from django.urls import get_resolver

from apps.people.api.problems import MEDIA_TYPE


def test_a_crash_of_an_api_route_is_a_problem_document_and_of_a_page_a_page() -> None:
    crashed = get_resolver("incidentportal.urls").resolve_error_handler(500)
    answer = crashed(RequestFactory().get("/api/v1/incidents/"))
    assert (answer.status_code, answer["Content-Type"]) == (500, MEDIA_TYPE)
    assert json.loads(answer.content)["code"] == "crashed"
    assert "html" in crashed(RequestFactory().get("/admin/"))["Content-Type"]
