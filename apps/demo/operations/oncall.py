"""Who is on call in the demo: two rotations for each team, one cover, and what the roles of the pack mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import Max

from apps.catalog.models import Team
from apps.demo.organisation import COMPANY_ROLES, TEAMS, TeamPlan
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.messaging.models import Message
from apps.messaging.silencing import silence_mails
from apps.oncall.models import RoleBinding, Rotation
from apps.oncall.operations import add_coverage, add_override, bind_role, create_rotation, request_swap
from apps.oncall.queries import shifts_of
from apps.people.models import User


@operation
def seed_rotations(teams: Mapping[str, Team], people: Mapping[str, User], *, actor: Actor) -> None:
    """Rotations and role bindings; those that are there already stay as they are."""
    for plan in TEAMS:
        team = teams[plan.slug]
        for role, members in (("primary", plan.primary), ("secondary", plan.secondary)):
            rotation = _rotation(plan, team, role, [people[name].pk for name in members], actor)
            _bind(role, team_id=team.pk, rotation_id=rotation.pk, actor=actor)
        _bind("manager", team_id=team.pk, user_id=people[plan.manager].pk, actor=actor)
    for role, name in COMPANY_ROLES.items():
        _bind(role, team_id=None, user_id=people[name].pk, actor=actor)


def _rotation(plan: TeamPlan, team: Team, role: str, members: list[int], actor: Actor) -> Rotation:
    slug = f"{plan.slug}-{role}"
    found = Rotation.objects.filter(slug=slug).first()
    return found or create_rotation(
        team.pk, slug, f"{plan.name}, {role}", time_zone=plan.time_zone, member_ids=members, actor=actor
    )


def _bind(
    role: str, *, team_id: int | None, actor: Actor, rotation_id: int | None = None, user_id: int | None = None
) -> None:
    same = RoleBinding.objects.filter(role=role)
    same = same.filter(team__isnull=True) if team_id is None else same.filter(team_id=team_id)
    if not same.exists():
        bind_role(role, team_id=team_id, rotation_id=rotation_id, user_id=user_id, actor=actor)


@operation
def seed_cover(people: Mapping[str, User], *, actor: Actor) -> None:
    """A cover, extra people for a launch and an open swap in the days to come; only while nobody ever covered."""
    rotation = Rotation.objects.get(slug="live-operations-secondary")
    if rotation.overrides.exists():
        return
    before = Message.objects.aggregate(last=Max("pk"))["last"] or 0
    start = (now() + timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    add_override(rotation.pk, people["ines"].pk, start, start + timedelta(days=2), reason="Lena travels", actor=actor)
    launch = Rotation.objects.get(slug="live-operations-primary")
    add_coverage(launch.pk, [people["yuki"].pk], start, start + timedelta(days=1), reason="Season launch", actor=actor)
    shop = Rotation.objects.get(slug="payments-primary")
    on_then = shifts_of(shop.pk, start, start + timedelta(hours=8))
    if on_then:
        ends_at = min(on_then[0].ends_at, start + timedelta(hours=8))
        request_swap(shop.pk, start, ends_at, user_id=on_then[0].user_id, reason="Dentist", actor=actor)
    # Inboxes have the offer; nobody gets mails because a demo is set up.
    silence_mails(after_id=before, reason="about the set-up of the demo", actor=Actor.system("demo"))
