"""What is wrong with the portal itself pages somebody, once."""

from __future__ import annotations

import pytest

from apps.alerts.portal_faults import SOURCE
from apps.engine.operations import deliver, report_fault
from apps.incidents.models import Incident
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_fault_of_the_portal_opens_an_incident_that_pages() -> None:
    version = factories.novacron()
    assert version
    on_call = factories.named("ana", "responder")
    factories.answers_for("primary", on_call)
    report_fault("timer:x", "A timer of x can't fire", "ValueError: broken")
    deliver()
    found = Incident.objects.get(source=SOURCE)
    assert (found.title, found.summary) == ("The portal itself: A timer of x can't fire", "ValueError: broken")
    assert on_call.pages.count() == 1


def test_the_same_fault_again_is_noted_in_the_open_incident() -> None:
    factories.novacron()
    for _ in range(2):
        report_fault("timer:x", "A timer of x can't fire", "ValueError: broken")
    deliver()
    assert Incident.objects.filter(source=SOURCE).count() == 1
    assert Incident.objects.get().timeline.filter(text="ValueError: broken").count() == 1


def test_without_a_pack_a_fault_is_kept_as_an_event_and_nothing_fails() -> None:
    report_fault("timer:x", "A timer of x can't fire", "ValueError: broken")
    assert deliver() >= 1
    assert not Incident.objects.exists()
