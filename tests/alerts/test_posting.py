"""New incidents are told where the pack says, by severity and domain."""

from __future__ import annotations

from typing import Any

import pytest

from apps.alerts.posting import tell_places
from apps.engine.models import Event
from apps.engine.operations import deliver
from apps.foundation.actor import Actor
from apps.incidents.operations import declare
from apps.messaging.connections import create_destination
from apps.messaging.models import Message
from apps.policies.operations import import_pack, shipped_packs

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")


@pytest.fixture
def liveops(settings: Any) -> None:
    """Document A's pack, which routes P0 to Slack, PagerDuty and email, P1 to two of them, P2 to Slack."""
    [path] = [path for path in shipped_packs() if "season2" in path.name]
    import_pack(path.read_text(), activate=True, note="for the test", actor=SYSTEM)
    settings.DEFAULT_PACK = "season2-liveops"
    create_destination("pagerduty", "liveops-oncall", "R0123456789ABCDEF0123456789ABCDE", actor=SYSTEM)
    create_destination("email", "leadership", "leads@example.com", actor=SYSTEM)


@pytest.mark.parametrize(
    ("severity", "channels"),
    [("P0", ["email", "pagerduty", "slack"]), ("P1", ["pagerduty", "slack"]), ("P2", ["slack"])],
)
def test_the_severity_decides_which_places_hear_of_it_once(liveops: None, severity: str, channels: list[str]) -> None:
    declare("The boss can't be beaten", severity, actor=SYSTEM)
    deliver()
    tell_places(list(Event.objects.filter(kind="incidents.declared")))
    posts = Message.objects.filter(dedupe_key__startswith="post:").order_by("channel")
    assert [message.channel for message in posts] == channels
    assert posts.get(channel="slack").address == "#alerts-liveops"
