"""A new address is sent its code, once."""

from __future__ import annotations

import pytest

from apps.engine.models import Event
from apps.engine.operations import deliver
from apps.messaging.contact_codes import send_code
from apps.messaging.models import Message
from apps.messaging.queries import visible_to
from apps.people.operations import add_contact_point, verify_contact_point
from apps.people.queries import contact_code
from tests.factories import actor, person

pytestmark = pytest.mark.django_db


def test_the_code_that_was_sent_verifies_the_address() -> None:
    user = person()
    point = add_contact_point(user.pk, "email", "jo@example.com", actor=actor(user))
    deliver()
    message = Message.objects.get(address="jo@example.com")
    code = message.body.split("The code is ")[1][:8]
    assert (message.channel, message.subject_kind) == ("email", "")
    assert not visible_to(user).exists()  # read in the portal, the code would prove nothing
    assert verify_contact_point(point.pk, code=code, actor=actor(user)).state == "verified"


def test_delivering_twice_sends_one_and_a_verified_address_gets_none() -> None:
    user = person()
    point = add_contact_point(user.pk, "email", "jo@example.com", actor=actor(user))
    event = Event.objects.get(kind="people.contact_point_added")
    send_code(event)
    send_code(event)
    assert Message.objects.filter(address="jo@example.com").count() == 1
    verify_contact_point(point.pk, code=contact_code(point), actor=actor(user))
    Message.objects.all().delete()
    send_code(event)
    assert not Message.objects.exists()
