"""The OpenAPI document: valid, made without a warning, and complete in what the bases of views give."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from openapi_spec_validator import validate

pytestmark = pytest.mark.django_db


@pytest.fixture
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Client().get("/api/schema/?format=json").content)
    return found


def test_the_document_is_valid_openapi_3_1_and_made_without_a_warning(
    capfd: pytest.CaptureFixture[str], document: dict[str, Any]
) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)
    Client().get("/api/schema/")
    assert "Warning" not in capfd.readouterr().err


def test_every_operation_tells_its_problems_and_every_post_its_idempotency_key(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert {"400", "401", "403"} <= set(operation["responses"]), (path, method)
            assert operation.get("description"), (path, method)
            if method == "post":
                assert "Idempotency-Key" in {found["name"] for found in operation["parameters"]}, path


def test_every_input_refuses_unknown_fields(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    inputs = [name for name in schemas if name.endswith("InputRequest")]
    assert inputs
    assert [name for name in inputs if schemas[name].get("additionalProperties") is not False] == []


def test_the_page_of_the_document_needs_no_script_of_others() -> None:
    page = Client().get("/api/docs/")
    assert page.status_code == 200
    assert "//cdn." not in page.content.decode()
    assert "<script>" not in page.content.decode()
