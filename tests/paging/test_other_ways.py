"""A page that one address can't take goes to the person's others."""

from __future__ import annotations

import pytest

from apps.foundation.subjects import Subject
from apps.messaging.models import Message
from apps.messaging.registry import Undelivered, tell_fallbacks
from apps.people.models import ContactPoint
from tests.paging.conftest import World, level, path_pack

pytestmark = pytest.mark.django_db


def lost(message: Message) -> Undelivered:
    return Undelivered(
        message_id=message.pk,
        recipient_id=message.recipient_id or 0,
        channel=message.channel,
        address=message.address,
        subject=Subject(message.subject_kind, message.subject_key),
        guard_kind=message.guard_kind,
        guard_key=message.guard_key,
        guard_run=message.guard_run,
        is_final=True,
        error="gone",
    )


def only_by_webhook(world: World) -> Subject:
    world.version = path_pack(level(1, "primary", channels=["webhook"]))
    ContactPoint.objects.create(user=world.people["ana"], kind="webhook", address="https://example.com/ana")
    return world.start()


def test_a_page_that_its_channel_lost_goes_to_the_other_addresses_once(world: World) -> None:
    subject = only_by_webhook(world)
    failed = Message.objects.get(channel="webhook")
    assert world.emails(subject) == []
    tell_fallbacks([lost(failed)])
    tell_fallbacks([lost(failed)])
    [email] = world.emails(subject)
    assert (email.address, email.title, email.guard_run) == (world.people["ana"].email, failed.title, failed.guard_run)
    assert "/ack/" in email.body


def test_what_is_no_page_calls_nobody_elsewhere(world: World) -> None:
    subject = only_by_webhook(world)
    other = Message.objects.get(channel="webhook")
    other.payload = {}
    other.save()
    tell_fallbacks([lost(other)])
    assert world.emails(subject) == []
