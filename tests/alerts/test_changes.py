"""What deployments tell the portal."""

from __future__ import annotations

import pytest

from apps.alerts.operations import group
from apps.catalog.models import Change, Environment
from tests.factories import integration, novacron, receipt, service

pytestmark = pytest.mark.django_db


def test_changes_are_recorded_once_per_key_with_service_and_environment() -> None:
    novacron()
    api = service("api")
    Environment.objects.create(slug="production", name="Production")
    source = integration("change")
    told = {"title": "API v2", "service": "API", "environment": "Production", "version": "v2", "dedup_key": "b1"}
    receipt(source, told)
    receipt(source, [told, {"title": "other", "service": "nobody-knows", "kind": "config"}])
    group()
    first, other = Change.objects.get(title="API v2"), Change.objects.get(title="other")
    assert first.environment is not None
    assert (first.service, first.environment.slug, first.version) == (api, "production", "v2")
    assert (other.kind, other.service, other.labels) == ("config", None, {"service": "nobody-knows"})


def test_a_change_that_names_no_service_belongs_to_the_integrations() -> None:
    novacron()
    api = service("api")
    receipt(integration("change", service=api), {"title": "x"})
    group()
    assert Change.objects.get().service == api
