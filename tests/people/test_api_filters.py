"""A filter that can't be meant is refused, never ignored."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.factories import bearer, superuser

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["config-versions", "runbook-versions"])
@pytest.mark.parametrize("value", ["0.5", "1e3", "ten", ""])
def test_a_number_that_is_no_whole_number_is_refused(path: str, value: str) -> None:
    headers = bearer(superuser())
    assert Client().get(f"/api/v1/{path}/?number={value}", headers=headers).status_code == 400
    assert Client().get(f"/api/v1/{path}/?number=1", headers=headers).status_code == 200
