"""Reads: integrations, alerts and receipts, by who may see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Q, QuerySet, Sum

from apps.alerts.models import Alert, AlertGroup, Heartbeat, IntakeMinute, Integration, Receipt
from apps.catalog.models import Change
from apps.catalog.permissions import user_may_edit_team
from apps.catalog.queries import dependency_closure, recent_changes, told_once, visible_teams
from apps.foundation.clock import now
from apps.incidents.models import Incident
from apps.incidents.queries import visible_to as visible_incidents
from apps.people.crypto import unseal
from apps.people.models import User
from apps.people.permissions import user_allowed

CHANGES_BEFORE = timedelta(hours=24)


def visible_integrations(user: User | AnonymousUser) -> QuerySet[Integration]:
    """The integrations that `user` may see: those of visible teams, with `alerts.view_integration`, or of led teams."""
    if not isinstance(user, User) or not user.is_active:
        return Integration.objects.none()
    rows = Integration.objects.select_related("team", "service", "heartbeat")
    if user.has_perm("alerts.view_integration"):
        return rows.filter(team__in=visible_teams(user))
    return rows.filter(team__memberships__user=user, team__memberships__role="lead")


def visible_alerts(user: User | AnonymousUser) -> QuerySet[Alert]:
    """The alerts that `user` may see: never those that belong to an incident which `user` may not see."""
    if not isinstance(user, User) or not user.has_perm("alerts.view_alert"):
        return Alert.objects.none()
    free = Q(group__isnull=True) | Q(group__incident__isnull=True)
    return (
        Alert.objects.filter(integration__in=visible_integrations(user).values("pk"))
        .filter(free | Q(group__incident__in=visible_incidents(user).values("pk")))
        .select_related("integration", "service", "group__incident")
    )


def visible_groups(user: User | AnonymousUser) -> QuerySet[AlertGroup]:
    """The groups that `user` may see, with the number of their alerts; as `visible_alerts`."""
    if not isinstance(user, User) or not user.has_perm("alerts.view_alertgroup"):
        return AlertGroup.objects.none()
    return (
        AlertGroup.objects.filter(integration__in=visible_integrations(user).values("pk"))
        .filter(Q(incident__isnull=True) | Q(incident__in=visible_incidents(user).values("pk")))
        .select_related("integration", "incident")
        .annotate(alert_count=Count("alerts"), firing_count=Count("alerts", filter=Q(alerts__state=Alert.State.FIRING)))
    )


def visible_receipts(user: User | AnonymousUser) -> QuerySet[Receipt]:
    """The receipts that `user` may see.

    Bodies are raw and can't be filtered by alert, so an integration one of whose alerts belongs to an incident that
    `user` may not see shows none of its receipts.
    """
    if not isinstance(user, User) or not user.has_perm("alerts.view_receipt"):
        return Receipt.objects.none()
    rows = Receipt.objects.filter(integration__in=visible_integrations(user).values("pk")).select_related("integration")
    if user.is_superuser or user.has_perm("incidents.view_private_incident"):
        return rows
    hidden = Incident.objects.exclude(pk__in=visible_incidents(user).values("pk"))
    return rows.exclude(
        integration__in=AlertGroup.objects.filter(incident__in=hidden.values("pk")).values("integration_id")
    )


def alerts_of_incident(incident_id: int, user: User | AnonymousUser, *, limit: int = 100) -> list[Alert]:
    """The alerts of an incident, firing ones first, then the newest."""
    rows = visible_alerts(user).filter(group__incident_id=incident_id)
    return list(rows.order_by("state", "-last_seen_at", "-id")[:limit])


def changes_before(incident: Incident, *, limit: int = 20) -> list[Change]:
    """What was changed in the day before the incident: on its services, on what they need, on nothing in particular.

    Newest first: the likeliest cause stands on top.
    """
    services = set(incident.services.values_list("pk", flat=True))
    services |= set(dependency_closure(services)) if services else set()
    until: datetime | None = incident.resolved_at
    rows = recent_changes(services, incident.detected_at - CHANGES_BEFORE, until=until, limit=2 * limit)
    return told_once(rows)[:limit]


def address_with_key(integration: Integration) -> str:
    """Where the source sends to, with the key. Whoever knows it can open incidents.

    PagerDuty's clients have an address that is the same for all, and put the key into the event.
    """
    return _address(integration, unseal(integration.key_encrypted))


def _address(integration: Integration, key: str) -> str:
    if integration.kind == Integration.Kind.PAGERDUTY:
        return f"{settings.PUBLIC_URL}/v2/enqueue"
    return f"{settings.PUBLIC_URL}/in/{integration.kind}/{key}/"


def key_for(user: User | AnonymousUser, integration: Integration) -> str:
    """The key for those who may change the integration; empty for everybody else."""
    return unseal(integration.key_encrypted) if user_may_edit(user, integration) else ""


def user_may_edit(user: User | AnonymousUser, integration: Integration) -> bool:
    """Whether `user` may see the key of an integration and change it."""
    if not isinstance(user, User) or not user.is_active:
        return False
    return user_allowed(user, "alerts.change_integration", integration) or user_may_edit_team(user, integration.team)


def address_for(user: User | AnonymousUser, integration: Integration) -> str:
    """The address with the key for those who may change the integration, without it for everybody else."""
    if user_may_edit(user, integration):
        return address_with_key(integration)
    return _address(integration, "…")


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of an integration: in this minute, in the last hour, and when one was refused last."""

    limit: int
    this_minute: int
    taken: int
    refused: int
    refused_at: datetime | None


def load_of(integration: Integration) -> Load:
    """How much it sent lately. The counts are written once a second."""
    at = now()
    minute = at.replace(second=0, microsecond=0)
    rows = IntakeMinute.objects.filter(integration=integration)
    hour = rows.filter(minute__gt=at - timedelta(hours=1)).aggregate(
        taken=Sum("taken_count"), refused=Sum("refused_count"), here=Sum("taken_count", filter=Q(minute=minute))
    )
    limit = integration.rate_per_minute
    return Load(
        limit=settings.INTAKE_RATE_PER_MINUTE if limit is None else limit,
        this_minute=hour["here"] or 0,
        taken=hour["taken"] or 0,
        refused=hour["refused"] or 0,
        refused_at=rows.filter(refused_count__gt=0).order_by("-minute").values_list("minute", flat=True).first(),
    )


def heartbeat_of(integration: Integration) -> Heartbeat | None:
    """What is known of its beats; None for other kinds."""
    return Heartbeat.objects.filter(integration=integration).first()
