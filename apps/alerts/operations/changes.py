"""What `/in/change/` brought, into the catalog's list of changes."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.text import slugify

from apps.alerts.models import Integration, Receipt
from apps.alerts.payloads import ChangeEvent
from apps.catalog.models import Environment
from apps.catalog.operations import NewChange, record_changes
from apps.catalog.queries import services_by_slug
from apps.foundation.actor import Actor


def apply_changes(
    integration: Integration, changes: Sequence[tuple[Receipt, ChangeEvent]], *, actor: Actor
) -> list[int]:
    """Record changes with a constant number of queries; one with a known dedup key is recorded once.

    A service nobody knows is no reason to lose the change: it falls back to the integration's own, and the name that
    was given stays among the labels.
    """
    names = {event.service for _, event in changes if event.service}
    services = services_by_slug(names | {slugify(name) for name in names})
    slugs = {slugify(event.environment) for _, event in changes if event.environment}
    environments = dict(Environment.objects.filter(slug__in=slugs).values_list("slug", "pk")) if slugs else {}
    rows = []
    for receipt, event in changes:
        service = services.get(event.service) or services.get(slugify(event.service))
        named = {"service": event.service, "environment": event.environment}
        rows.append(
            NewChange(
                title=event.title,
                kind=event.kind,
                service_id=service.pk if service else integration.service_id,
                environment_id=environments.get(slugify(event.environment)),
                version=event.version,
                author=event.author,
                link=event.link,
                source=f"integration:{integration.pk}",
                dedup_key=event.dedup_key,
                labels={**{name: value for name, value in named.items() if value}, **event.labels},
                occurred_at=event.occurred_at or receipt.received_at,
            )
        )
    return record_changes(rows, actor=actor)
