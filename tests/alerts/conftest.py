"""What the tests of alerts start from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from apps.alerts.intake.edges import stop_committer
from apps.alerts.models import Integration, Receipt
from apps.catalog.models import Team
from tests.factories import integration, novacron


@pytest.fixture
def generic(db: None) -> Integration:
    """A generic source under the default pack."""
    novacron()
    return integration("generic")


@pytest.fixture
def alertmanager(db: None) -> Integration:
    """An Alertmanager under the default pack."""
    novacron()
    return integration("alertmanager")


@pytest.fixture
def committer() -> Iterator[None]:
    """The process's committer, gone after the test with its connection."""
    yield
    stop_committer()


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """What the test writes is really committed, for other threads and processes to see, and taken back afterwards.

    Much quicker than emptying all tables, for tests that write only integrations and receipts. A module that uses it
    names a fixture of its own `db`: pytest-django makes a test database only where it sees one of its own names.
    """
    assert "test" in str(connection.settings_dict["NAME"]), "this is not a test database"
    with django_db_blocker.unblock():
        yield
        Receipt.objects.all().delete()
        made = set(Integration.objects.values_list("team_id", flat=True))
        Integration.objects.all().delete()
        Team.objects.filter(pk__in=made).delete()
