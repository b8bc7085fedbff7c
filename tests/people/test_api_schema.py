"""The OpenAPI document says what the API does: valid, and true for made-up requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from tests.factories import bearer, superuser

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.people.urls")]


# `ignored_auth` calls without a token, which is tried elsewhere; rules across rows and fields ("this address is
# no email") are refused with 400, which no schema can foretell.
EXCLUDED = [ignored_auth, positive_data_acceptance]


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Client().get("/api/schema/?format=json").content)
    return found


def test_the_document_is_valid_openapi_3_1() -> None:
    found = document()
    assert found["openapi"].startswith("3.1")
    validate(found)


def test_every_operation_tells_its_problems_and_every_post_its_idempotency_key() -> None:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            assert {"400", "401", "403"} <= set(operation["responses"]), (path, method)
            if method == "post":
                assert "Idempotency-Key" in {found["name"] for found in operation["parameters"]}, path


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_made_up_requests_get_what_the_document_says(live_server: Any, mode: GenerationMode) -> None:
    headers = bearer(superuser())
    for found in schemathesis.openapi.from_dict(document()).get_all_operations():
        operation = found.ok()

        @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def conforms(case: Any) -> None:
            case.call_and_validate(base_url=live_server.url, headers=headers, excluded_checks=EXCLUDED)

        conforms()
