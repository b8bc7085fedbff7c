"""Calling somebody into an incident: a person, a role of its team, or another team."""

from __future__ import annotations

from apps.catalog.models import Membership, Team
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text, invalid
from apps.foundation.errors import Conflict, NotFound
from apps.foundation.operations import operation
from apps.incidents.events import PagedIn
from apps.incidents.models import Incident
from apps.incidents.operations import checking
from apps.incidents.operations.changing import Change, changing
from apps.incidents.permissions import RESPOND
from apps.incidents.queries import SUBJECT_KIND, subject_of
from apps.oncall.queries import people_for_roles
from apps.paging import operations as paging
from apps.paging.models import Page
from apps.paging.policy import escalation
from apps.people.models import User


@operation
def page_in(
    incident_id: int,
    *,
    user_id: int | None = None,
    role: str = "",
    team_id: int | None = None,
    reason: str = "",
    actor: Actor,
    expected_version: int | None = None,
) -> list[User]:
    """Page one person, whoever is on call for a `role` (of `team_id`, else of the incident's team), or a whole team.

    A team means who is on call for the roles of the first level, else its leads, else its members. Whoever still has
    an unanswered call into this incident is not paged twice. Paged people may see the incident from then on, if they
    may see incidents at all. Needs `respond_incident`. Returns who is paged now. Raises Conflict when nobody can be
    reached or the incident is resolved.
    """
    with changing(incident_id, actor=actor, permission=RESPOND, expected_version=expected_version) as change:
        why = checked_text(reason, "reason", most=checking.MAX_REASON, required=False)
        checking.still_open(change.incident, "page somebody in")
        wanted = _wanted(change, user_id=user_id, role=role, team_id=team_id)
        people = _not_waiting(change.incident, wanted)
        if people:
            ids = [person.pk for person in people]
            paging.page_people(subject_of(change.incident), ids, reason=why, actor=actor)
            change.publish(PagedIn(incident_id=incident_id, user_ids=ids, reason=why))
            change.tell_of_paging()
        return people


def _wanted(change: Change, *, user_id: int | None, role: str, team_id: int | None) -> list[User]:
    if user_id is not None:
        if role or team_id is not None:
            raise invalid("user_id", "Name a person, or a role or team, not both.")
        return [checking.person(user_id)]
    if not role and team_id is None:
        raise invalid("user_id", "Say whom to page: a person, a role or a team.")
    team = _team(change, team_id)
    if role:
        people = _on_call(team, [role], change)
        where = f" of {team.name}" if team else ""
        if not people:
            raise Conflict(f"Nobody is on call for {role}{where}.", code="nobody_reachable")
        return people
    assert team is not None, "without a role there is a team_id, and so a team"
    people = _of_team(team, change)
    if not people:
        raise Conflict(
            f"Nobody of {team.name} can be paged: it has no members and nobody on call.", code="nobody_reachable"
        )
    return people


def _team(change: Change, team_id: int | None) -> Team | None:
    if team_id is None:
        return change.incident.team
    team = Team.objects.filter(pk=team_id).first()
    if team is None:
        raise NotFound("There is no such team.", fields={"team_id": ["There is no such team."]})
    return team


def _of_team(team: Team, change: Change) -> list[User]:
    first = escalation(change.incident.policy_version_id).path[0]
    people = _on_call(team, list(first.roles), change)
    if people:
        return people
    members = [
        row
        for row in Membership.objects.filter(team=team).select_related("user")
        if row.user.is_active and row.user.kind == User.Kind.PERSON
    ]
    leads = [row.user for row in members if row.role == Membership.Role.LEAD]
    return leads or [row.user for row in members]


def _on_call(team: Team | None, roles: list[str], change: Change) -> list[User]:
    found = people_for_roles(team.pk if team else None, roles, change.at)
    ids = {pk for people in found.values() for pk in people}
    return list(User.objects.filter(pk__in=ids, is_active=True).order_by("pk"))


def _not_waiting(incident: Incident, people: list[User]) -> list[User]:
    waiting = Page.objects.filter(
        subject_kind=SUBJECT_KIND,
        subject_key=str(incident.pk),
        state=Page.State.OPEN,
        escalation__isnull=True,
        user__in=people,
    ).values_list("user_id", flat=True)
    already = set(waiting)
    return [person for person in people if person.pk not in already]
