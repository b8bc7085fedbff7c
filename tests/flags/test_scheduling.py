"""Changes that are done at their time, on behalf of who wrote them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Team
from apps.engine.models import Event, Timer
from apps.engine.sweep import fire_timers
from apps.flags.models import Flag, FlagChange
from apps.flags.operations import Step, bring_back, kill, schedule_change, schedule_rollout, withdraw_change
from apps.flags.queries import change_in_words, try_out
from apps.foundation import clock
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.people.models import User
from tests.factories import actor, bearer, person
from tests.flags.conftest import lead

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
HOUR = timedelta(hours=1)
HALF = {"split": [{"variant": "on", "weight": 1}, {"variant": "off", "weight": 1}]}


def later(hours: float = 1) -> datetime:
    return clock.now() + hours * HOUR


def pass_time(hours: float) -> None:
    """What is due within these hours is done now: the timers' times move instead of the clock."""
    Timer.objects.filter(due_at__lte=later(hours)).update(due_at=clock.now(), try_at=clock.now())
    fire_timers()


def plan(flag: Flag, change: Any, user: User | None = None, at: datetime | None = None) -> FlagChange:
    who = actor(user) if user else SYSTEM
    return schedule_change(flag.pk, at or later(), change, reason="as planned", actor=who)


def now_of(flag: Flag) -> Flag:
    flag.refresh_from_db()
    return flag


def test_a_change_is_done_at_its_time_and_not_before(flag: Flag, core: Team) -> None:
    made = plan(flag, {"serve": "off"}, lead(core))
    fire_timers()
    assert try_out(now_of(flag), {}).value is True
    pass_time(2)
    made.refresh_from_db()
    assert (try_out(now_of(flag), {}).value, made.state) == (False, "done")
    assert flag.history.first().history_change_reason.startswith("as planned")


def test_a_rollout_gives_ever_more_people_the_variant(flag: Flag) -> None:
    steps = [Step(later(hour), percent) for hour, percent in ((1, 10), (2, 50), (3, 100))]
    made = schedule_rollout(flag.pk, "on", steps, reason="new", actor=SYSTEM)
    assert change_in_words(made[0]) == "Whom no rule meets gets on for 10 %, off for 90 %."
    people = [{"targetingKey": f"user-{number}"} for number in range(200)]
    having: list[set[str]] = []
    for hour in (1.5, 2.5, 3.5):
        pass_time(hour)
        having.append({each["targetingKey"] for each in people if try_out(now_of(flag), each).value})
    assert having[0] < having[1] < having[2]
    assert len(having[2]) == 200


def test_a_rollout_only_goes_up_and_forward(flag: Flag) -> None:
    for steps in ([Step(later(2), 1), Step(later(1), 2)], [Step(later(1), 2), Step(later(2), 1)], []):
        with pytest.raises(Invalid):
            schedule_rollout(flag.pk, "on", steps, reason="x", actor=SYSTEM)
    with pytest.raises(Invalid, match="The rest would get off too"):
        schedule_rollout(flag.pk, "off", [Step(later(), 50)], reason="x", actor=SYSTEM)


def test_what_was_killed_since_is_not_switched_on_by_a_schedule(flag: Flag) -> None:
    made = plan(flag, {"state": "on"})
    kill(flag.pk, reason="an emergency", actor=SYSTEM)
    pass_time(2)
    made.refresh_from_db()
    assert (now_of(flag).state, made.state) == ("killed", "failed")
    assert "was killed since" in made.detail
    assert Event.objects.filter(kind="flags.change_failed").count() == 1


def test_a_kill_and_its_end_can_both_be_scheduled(flag: Flag) -> None:
    plan(flag, {"state": "killed"})
    pass_time(2)
    assert now_of(flag).state == "killed"
    plan(flag, {"state": "on"})
    pass_time(2)
    assert now_of(flag).state == "on"


def test_a_change_is_not_done_for_who_may_not_any_more(flag: Flag, core: Team) -> None:
    gone, demoted = lead(core), lead(core)
    one, two = plan(flag, {"serve": "off"}, gone), plan(flag, {"state": "killed"}, demoted)
    gone.is_active = False
    gone.save()
    core.memberships.filter(user=demoted).delete()
    pass_time(2)
    for change in (one, two):
        change.refresh_from_db()
    assert (one.state, two.state, now_of(flag).state) == ("failed", "failed", "on")
    assert "has no active account" in one.detail


def test_a_change_that_no_longer_fits_fails_and_the_rest_go_on(flag: Flag) -> None:
    bad, good = plan(flag, {"serve": HALF}), plan(flag, {"state": "disabled"}, at=later(1.5))
    FlagChange.objects.filter(pk=bad.pk).update(change={"serve": "gone"})
    pass_time(2)
    for change in (bad, good):
        change.refresh_from_db()
    assert (bad.state, good.state, now_of(flag).state) == ("failed", "done", "disabled")
    assert "There is no variant 'gone'" in bad.detail


def test_what_waits_can_be_withdrawn_once(flag: Flag) -> None:
    made = plan(flag, {"serve": "off"})
    for _ in range(2):
        withdraw_change(made.pk, actor=SYSTEM)
    pass_time(2)
    assert try_out(now_of(flag), {}).value is True
    assert Event.objects.filter(kind="flags.change_withdrawn").count() == 1
    done = plan(flag, {"serve": "off"})
    pass_time(2)
    with pytest.raises(Conflict, match="done already"):
        withdraw_change(done.pk, actor=SYSTEM)


@pytest.mark.parametrize(
    "change",
    [None, {}, {"state": "purple"}, {"serve": "gone"}, {"state": "on", "serve": "on"}, {"definition": 7}, {"x": 1}],
)
def test_what_is_no_change_is_refused(flag: Flag, change: Any) -> None:
    with pytest.raises(Invalid):
        plan(flag, change)


def test_the_past_and_the_far_future_are_refused(flag: Flag) -> None:
    for at in (later(-1), later(24 * 400)):
        with pytest.raises(Invalid, match="in the next 366 days"):
            plan(flag, {"serve": "off"}, at=at)


def test_commanders_schedule_kills_and_leads_all_of_it(flag: Flag, core: Team) -> None:
    commander = person("commander")
    assert plan(flag, {"state": "killed"}, commander).created_by == commander
    with pytest.raises(Forbidden):
        plan(flag, {"serve": "off"}, commander)
    assert plan(flag, {"serve": "off"}, lead(core)).state == "waiting"


def test_over_the_api_changes_are_made_listed_and_withdrawn(client: Client, flag: Flag, core: Team) -> None:
    def send(user: User, path: str, body: Any = None) -> Any:
        return client.post(f"/api/v1/{path}", body or {}, "application/json", headers=bearer(user))

    user = lead(core)
    body = {"at": later().isoformat(), "change": {"serve": "off"}, "reason": "x"}
    made = send(user, f"flags/{flag.pk}/schedule/", body)
    assert (made.status_code, made.json()["state"]) == (201, "waiting")
    steps = [{"at": later(hour).isoformat(), "percent": hour * 10} for hour in (1, 2)]
    assert send(user, f"flags/{flag.pk}/rollout/", {"variant": "on", "steps": steps, "reason": "x"}).status_code == 201
    for verb in ("schedule", "rollout"):
        assert send(person("viewer"), f"flags/{flag.pk}/{verb}/", {"x": 1}).status_code == 403
    path = f"flag-changes/{made.json()['id']}/withdraw/"
    assert send(person("viewer"), path, {"x": 1}).status_code == 403
    assert send(user, path).json()["state"] == "withdrawn"
    rows = client.get(f"/api/v1/flag-changes/?flag={flag.pk}&state=waiting", headers=bearer(person("viewer"))).json()
    assert len(rows["results"]) == 2


def test_the_page_of_a_flag_shows_what_is_to_come(flag: Flag, core: Team) -> None:
    client = Client()
    client.force_login(lead(core))
    given = {"variant": "on", "percents": "5, 100", "begins_at": f"{later():%Y-%m-%d %H:%M}", "every_hours": 24}
    client.post(f"/admin/flags/flag/{flag.pk}/rollout/", {"_form_submitted": "on", "reason": "new", **given})
    html = client.get(f"/admin/flags/flag/{flag.pk}/change/").content.decode()
    assert "Whom no rule meets gets on for 5 %, off for 95 %." in html
    made = FlagChange.objects.earliest("due_at")
    page = client.get(f"/admin/flags/flagchange/{made.pk}/change/")
    assert page.status_code == 200
    client.post(f"/admin/flags/flagchange/{made.pk}/withdraw/", {"_form_submitted": "on", "reason": "not yet"})
    made.refresh_from_db()
    assert made.state == "withdrawn"


def test_bringing_back_by_hand_is_not_undone_by_what_was_scheduled_before(flag: Flag) -> None:
    plan(flag, {"state": "on"})
    kill(flag.pk, reason="x", actor=SYSTEM)
    bring_back(flag.pk, reason="x", actor=SYSTEM)
    pass_time(2)
    assert now_of(flag).state == "on"
    assert FlagChange.objects.get().state == "done"
