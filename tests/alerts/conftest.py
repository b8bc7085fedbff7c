"""What the tests of alerts start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.alerts.intake.edges import stop_committer
from apps.alerts.models import Integration
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
