"""The linter finds rules that can never fire, and people whom a page would not reach."""

from __future__ import annotations

from datetime import time
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from apps.oncall.queries import warnings_of
from apps.paging.models import NotificationPreference
from apps.paging.rules.document import WEEKDAYS, QuietSpan, Rule, Wishes
from apps.paging.rules.linting import Facts, Point, lint
from apps.paging.rules.queries import findings_of
from apps.people.models import ContactPoint
from tests.factories import named, rotation, team


def at(pk: int, kind: str, state: str = "verified", name: str = "x", *, is_broken: bool = False) -> Point:
    return Point(pk, kind, state, is_broken, name)


EMAIL = at(1, "email")
SMS = at(2, "sms")
PUSH = at(3, "push")


def codes(*points: Point, **more: Any) -> list[str]:
    wishes = Wishes(**{name: more.pop(name) for name in ("high", "low", "quiet") if name in more})
    return [found.code for found in lint(Facts(wishes, points, **more))]


def test_nothing_is_wrong_with_a_verified_address_and_no_rules() -> None:
    assert codes(EMAIL) == []
    assert codes(EMAIL, SMS, high=(Rule(0, channel="email"), Rule(5, contact_point=2))) == []


@pytest.mark.parametrize(
    ("points", "code"),
    [
        ((), "only_inbox"),
        ((at(1, "email", "disabled"),), "only_inbox"),
        ((at(1, "email", "unverified"),), "no_working_address"),
        ((at(1, "push", is_broken=True),), "no_working_address"),
        ((PUSH,), "only_push"),
    ],
)
def test_addresses_that_do_not_reach(points: tuple[Point, ...], code: str) -> None:
    assert codes(*points) == [code]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (Rule(3, contact_point=9), "never_fires"),
        (Rule(3, channel="slack"), "never_fires"),
        (Rule(3, contact_point=1), "shadowed"),
        (Rule(3, channel="email"), "shadowed"),
        (Rule(3, contact_point=4), "disabled"),
        (Rule(3, contact_point=5), "broken"),
        (Rule(3, contact_point=6), "not_working"),
        (Rule(90, contact_point=3), "too_late"),
    ],
)
def test_rules_that_can_never_fire(rule: Rule, code: str) -> None:
    others = (
        at(4, "discord", "disabled"),
        at(5, "apprise", is_broken=True),
        at(6, "webhook", "unverified"),
    )
    assert codes(EMAIL, PUSH, *others, high=(Rule(0, channel="email"), rule), longest_minutes=60) == [code]


def test_a_channel_without_a_connection_is_told() -> None:
    assert codes(EMAIL, SMS, high=(Rule(0, channel="email"), Rule(1, channel="sms")), connected=frozenset()) == [
        "not_connected"
    ]


def test_rules_that_leave_somebody_unreachable_are_errors() -> None:
    broken = at(1, "email", is_broken=True)
    assert codes(SMS, broken, high=(Rule(0, contact_point=1),)) == ["rules_reach_nobody", "broken"]
    assert codes(EMAIL, high=(Rule(10, channel="email"),)) == ["silent_at_first"]
    assert codes(EMAIL, quiet=(QuietSpan(WEEKDAYS, time(9), time(9)),)) == ["always_quiet"]
    assert codes(EMAIL, low=(Rule(0, channel="inbox"),)) == ["low_only_inbox"]


@pytest.mark.django_db
def test_the_linter_asks_the_same_number_of_queries_for_many(django_assert_num_queries: Any) -> None:
    people = [named(f"p{number}").pk for number in range(12)]
    with django_assert_num_queries(4):
        findings_of(people[:1])
    with django_assert_num_queries(4):
        findings_of(people)


@pytest.mark.django_db
def test_the_command_prints_them_and_says_by_its_exit_code_whether_one_is_an_error() -> None:
    ana = named("ana")
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("check_notification_rules", "ana", stdout=out)
    assert ended.value.code == 1
    assert "error   ana: There is no contact point" in out.getvalue()
    ContactPoint.objects.create(
        user=ana, kind="email", address="a@example.com", state="verified", verified_at="2026-01-01T00:00Z"
    )
    out = StringIO()
    call_command("check_notification_rules", "ana", stdout=out)
    assert "1 people, 0 findings." in out.getvalue()


@pytest.mark.django_db
def test_a_rotation_warns_of_a_member_whose_rules_reach_nobody() -> None:
    ana = named("ana")
    row = ContactPoint.objects.create(
        user=ana, kind="email", address="a@example.com", state="verified", verified_at="2026-01-01T00:00Z"
    )
    NotificationPreference.objects.create(user=ana, high=[{"after_minutes": 15, "contact_point": row.pk}])
    duty = rotation(team("Core"), ana)
    assert any(
        "Ana: High urgency reaches no address that works in the first 15 min" in text
        for text in warnings_of([duty])[duty.pk]
    )
