"""What crosses on its way: reports before outcomes, answers while something is being sent, paused connections."""

from __future__ import annotations

import json

import pytest

from apps.alerts.posting import tell_places
from apps.engine.models import Event
from apps.engine.operations import deliver
from apps.foundation.errors import Invalid
from apps.foundation.subjects import Subject
from apps.incidents.models import Incident
from apps.incidents.operations import resolve
from apps.messaging import connections
from apps.messaging.models import Attempt, Connection, Destination, Message
from apps.messaging.operations import send_due
from apps.messaging.providers.base import Result
from apps.messaging.sending.leases import claim, look
from apps.messaging.sending.outcomes import Finished, record
from apps.messaging.sending.reports import note_delivered, note_undelivered
from tests.factories import incident
from tests.messaging.conftest import enqueue
from tests.messaging.provider_rig import SYSTEM, again, answers, connect, one_server, provider, reachable, to
from tests.messaging.servers import Receiver

__all__ = ["one_server", "provider"]
pytestmark = pytest.mark.django_db
KEY = "R0123456789ABCDEF0123456789ABCDE"
_O = Attempt.Outcome


def flying(message: Message) -> Message:
    """The message in the hands of a sender, after its last look."""
    [claimed] = [row for row in claim() if row.pk == message.pk]
    assert look([claimed]) == {message.pk: ""}
    return claimed


def landed(message: Message, outcome: Attempt.Outcome, provider_id: str = "") -> Message:
    record([Finished(message, Result(outcome, "said", provider_id=provider_id))])
    return again(Message.objects.get(pk=message.pk))


# --- a provider's report before our own outcome ---


@pytest.mark.parametrize("outcome", [_O.ACCEPTED, _O.UNKNOWN])
def test_a_report_before_the_outcome_is_not_lost(provider: Receiver, outcome: Attempt.Outcome) -> None:
    message = flying(to(reachable("sms", "+4915123456789")))
    note_undelivered(message.pk, "Twilio: undelivered 30003", attempt=1)
    found = landed(message, outcome, "SM1")
    assert (found.state, found.last_error) == ("failed", "Twilio: undelivered 30003")
    assert found.fallback_at is not None
    assert Event.objects.filter(kind="messaging.message_failed").count() == 1


def test_a_report_on_an_earlier_attempt_says_nothing_about_this_one(provider: Receiver) -> None:
    message = flying(to(reachable("sms", "+4915123456789")))
    note_undelivered(message.pk, "Twilio: undelivered 30003", attempt=0)
    assert landed(message, _O.ACCEPTED).state == "sent"


def test_a_report_on_a_message_that_is_tried_again_is_forgotten(provider: Receiver) -> None:
    message = flying(to(reachable("sms", "+4915123456789")))
    note_undelivered(message.pk, "Twilio: undelivered 30003", attempt=1)
    Message.objects.update(state="queued", lease_until=None, lease_token="")
    assert landed(flying(message), _O.ACCEPTED).state == "sent"


def test_that_it_was_delivered_counts_before_the_outcome_too(provider: Receiver) -> None:
    message = flying(to(reachable("sms", "+4915123456789")))
    note_delivered(message.pk)
    assert landed(message, _O.ACCEPTED).delivered_at is not None


# --- answers while something is being sent ---


@pytest.fixture
def place(provider: Receiver) -> Destination:
    connection = connect("pagerduty", provider)
    return connections.create_destination("pagerduty", "oncall", KEY, connection_id=connection.pk, actor=SYSTEM)


def posted(row: Incident, place: Destination) -> Message:
    return enqueue(
        dedupe_key=f"post:declared:{row.pk}:pagerduty:oncall",
        channel="pagerduty",
        address=place.target,
        destination_id=place.pk,
        subject=Subject("incident", str(row.pk)),
    )


def followed() -> list[tuple[str, str]]:
    rows = Message.objects.filter(dedupe_key__startswith="follow:").order_by("pk")
    return [(row.payload["event_action"], row.payload["dedup_key"]) for row in rows]


def everything_delivered() -> None:
    while deliver():
        pass


def test_what_pagerduty_takes_after_the_resolve_is_resolved_there_once(place: Destination) -> None:
    row = incident()
    message = flying(posted(row, place))
    resolve(row.pk, actor=SYSTEM)
    everything_delivered()
    assert followed() == []
    landed(message, _O.ACCEPTED, "key-1")
    everything_delivered()
    assert followed() == [("resolve", "key-1")]
    resolve(row.pk, actor=SYSTEM)
    everything_delivered()
    assert followed() == [("resolve", "key-1")]


def test_what_pagerduty_may_have_taken_before_the_resolve_is_resolved_there(
    place: Destination, provider: Receiver
) -> None:
    row = incident()
    message = posted(row, place)
    landed(flying(message), _O.UNKNOWN)
    resolve(row.pk, actor=SYSTEM)
    everything_delivered()
    assert again(message).state == "void"
    provider.answer = answers(202, {"status": "success"})
    send_due()
    [request] = provider.requests
    sent = json.loads(request.body)
    assert (sent["event_action"], sent["dedup_key"]) == ("resolve", followed()[0][1])


def test_what_was_taken_while_the_incident_is_open_is_left_alone(place: Destination) -> None:
    landed(flying(posted(incident(), place)), _O.ACCEPTED, "key-1")
    everything_delivered()
    assert followed() == []


def test_an_incident_that_is_over_is_told_to_no_place(place: Destination) -> None:
    row = incident()
    resolve(row.pk, actor=SYSTEM)
    tell_places(list(Event.objects.filter(kind="incidents.declared", subject_key=str(row.pk))))
    assert not Message.objects.filter(dedupe_key__startswith="post:").exists()


# --- connections ---


def test_a_paused_connection_sends_nothing_not_even_to_the_public_address(
    place: Destination, provider: Receiver
) -> None:
    connections.pause_connection(place.connection_id, actor=SYSTEM)
    to_place, to_person = posted(incident(), place), to(reachable("pagerduty", KEY))
    send_due()
    for message in (again(to_place), again(to_person)):
        assert (message.state, message.last_error) == (
            "failed",
            'The connection "pagerduty" is paused: see Connections.',
        )
    assert again(to_person).fallback_at is not None
    assert provider.requests == []


def test_where_one_of_two_is_paused_what_names_none_goes_by_the_other(place: Destination, provider: Receiver) -> None:
    connections.pause_connection(place.connection_id, actor=SYSTEM)
    connect("pagerduty", provider)
    provider.answer = answers(202, {"status": "success"})
    message = to(reachable("pagerduty", KEY))
    send_due()
    assert again(message).state == "sent"
    assert len(provider.requests) == 1


def test_the_test_of_a_second_account_goes_by_that_account(provider: Receiver) -> None:
    provider.answer = answers(200, {"ok": True, "channel": "C1", "ts": "1.2"})
    connect("slack", provider)
    second = connect("slack", provider, token="xoxb-second")
    connections.test_connection(second.pk, "#incidents", actor=SYSTEM)
    send_due()
    [request] = provider.requests
    assert request.headers["Authorization"] == "Bearer xoxb-second"


def test_integration_keys_do_not_follow_a_changed_address(place: Destination) -> None:
    elsewhere = {"base_url": "https://proxy.example.com/", "token": "new", "actor": SYSTEM}
    with pytest.raises(Invalid, match="another connection"):
        connections.change_connection(place.connection_id, **elsewhere)
    connections.delete_destination(place.pk, actor=SYSTEM)
    connections.change_connection(place.connection_id, **elsewhere)
    assert Connection.objects.get().base_url == "https://proxy.example.com/"
