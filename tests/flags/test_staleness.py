"""Flags that the code could be rid of: how it is noticed who asks, and what is said of it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.engine.models import Event, Timer
from apps.engine.sweep import fire_timers
from apps.flags.models import Flag, FlagUse
from apps.flags.ofrep import storage
from apps.flags.ofrep.core import Head, Target, respond
from apps.flags.operations import kill
from apps.flags.operations.reporting import STALE_TIMER, keep_reporting, report_stale
from apps.flags.staleness import is_stale, why_stale
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from tests.factories import person
from tests.flags.conftest import make_flag

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(days=31)


def ask(key: str | None) -> None:
    """One request for a flag, or for all, and what the process writes of it a minute later."""
    snapshot = storage.read_snapshot(storage.read_mark())
    assert respond(Target(key), Head(), b"{}", snapshot).status == 200
    storage.note_flags(snapshot.take_uses())


def stale(flag: Flag) -> list[str]:
    row = Flag.objects.select_related("use").get(pk=flag.pk)
    found = sorted(why_stale(row))
    assert Flag.objects.filter(is_stale(), pk=flag.pk).exists() == bool(found)
    return found


def test_who_asks_for_one_flag_or_for_all_is_noted_with_the_variant(flag: Flag) -> None:
    ask(flag.key)
    use = FlagUse.objects.get()
    assert use.variant == "on"
    ask(None)
    again = FlagUse.objects.get()
    assert (again.asked_at > use.asked_at, again.since) == (True, use.since)
    kill(flag.pk, reason="x", actor=Actor.system())
    ask(flag.key)
    assert (FlagUse.objects.get().variant, FlagUse.objects.get().since > use.since) == ("off", True)


def test_several_variants_in_a_minute_are_no_single_one(flag: Flag) -> None:
    ask(flag.key)
    storage.note_flags({("production", flag.key): {"on", "off"}, ("production", "gone"): {"on"}})
    assert FlagUse.objects.get().variant == ""


def test_a_flag_is_stale_past_its_day_and_when_nobody_asks(flag: Flag) -> None:
    assert stale(flag) == []
    Flag.objects.update(state_changed_at=now() - LONG_AGO)
    assert stale(flag) == ["unasked"]
    ask(flag.key)
    assert stale(flag) == []
    FlagUse.objects.update(asked_at=now() - LONG_AGO)
    Flag.objects.update(expires_on=date(2020, 1, 1))
    assert stale(flag) == ["expired", "unasked"]


def test_a_release_with_one_answer_for_long_is_stale_but_a_kill_switch_is_not(flag: Flag) -> None:
    ask(flag.key)
    FlagUse.objects.update(since=now() - LONG_AGO)
    assert stale(flag) == []
    Flag.objects.update(kind=Flag.Kind.RELEASE)
    assert stale(flag) == ["constant"]


def test_each_day_one_event_names_them(flag: Flag, checkout: Any) -> None:
    make_flag("fresh", flag.environment, flag.owner)
    Flag.objects.filter(pk=flag.pk).update(expires_on=date(2020, 1, 1))
    keep_reporting()
    keep_reporting()
    Timer.objects.filter(kind=STALE_TIMER).update(seq=1, due_at=now(), try_at=now())
    fire_timers()
    told = Event.objects.get(kind="flags.stale_found").payload
    assert (told["count"], told["flags"][0]["key"], told["flags"][0]["why"]) == (1, flag.key, ["expired"])
    assert list(Timer.objects.filter(kind=STALE_TIMER).order_by("seq").values_list("state", flat=True)) == [
        "fired",
        "pending",
    ]
    Flag.objects.update(expires_on=None)
    assert report_stale() == 0
    assert Event.objects.filter(kind="flags.stale_found").count() == 1


def test_lists_tell_and_filter(flag: Flag, client: Any) -> None:
    other = make_flag("fresh", flag.environment, flag.owner)
    Flag.objects.filter(pk=flag.pk).update(expires_on=date(2020, 1, 1))
    api = APIClient()
    api.force_authenticate(person("manager"))
    found = {key: api.get(f"/api/v1/flags/?stale={key}").json()["results"] for key in ("true", "false")}
    assert [(row["key"], row["stale"]) for row in found["true"]] == [(flag.key, ["expired"])]
    assert [row["key"] for row in found["false"]] == [other.key]
    client.force_login(person("manager"), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/admin/flags/flag/?stale=yes").content.decode()
    assert (flag.key in page, ">fresh<" in page) == (True, False)
    assert "should have been gone" in client.get(f"/admin/flags/flag/{flag.pk}/change/").content.decode()
