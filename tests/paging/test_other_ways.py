"""A page that one address can't take goes to the person's others."""

from __future__ import annotations

import pytest

from apps.foundation.subjects import Subject
from apps.messaging.models import Message
from apps.messaging.registry import tell_fallbacks
from apps.messaging.sending.outcomes import call_fallbacks
from apps.people.models import ContactPoint
from tests.paging.conftest import World, level, path_pack

pytestmark = pytest.mark.django_db


def only_by_webhook(world: World) -> Subject:
    world.version = path_pack(level(1, "primary", channels=["webhook"]))
    ContactPoint.objects.create(user=world.people["ana"], kind="webhook", address="https://example.com/ana")
    return world.start()


def test_a_page_that_its_channel_lost_goes_to_the_other_addresses_once(world: World) -> None:
    subject = only_by_webhook(world)
    failed = Message.objects.get(channel="webhook")
    assert world.emails(subject) == []
    lost = call_fallbacks([failed], is_final=True)
    tell_fallbacks(lost)
    tell_fallbacks(lost)
    [email] = world.emails(subject)
    assert (email.address, email.title, email.guard_run) == (world.people["ana"].email, failed.title, failed.guard_run)
    assert "/ack/" in email.body


def test_what_is_no_page_calls_nobody_elsewhere(world: World) -> None:
    subject = only_by_webhook(world)
    other = Message.objects.get(channel="webhook")
    other.payload = {}
    other.save()
    tell_fallbacks(call_fallbacks([other], is_final=True))
    assert world.emails(subject) == []
