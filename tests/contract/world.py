"""One row of everything, with an open and a private incident of one team, and the visitors who try to reach them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.test import Client

from apps.alerts.models import Alert, AlertGroup, Integration, Receipt
from apps.alerts.operations import group
from apps.catalog.models import Change, Dependency, Environment, Membership, Team
from apps.engine.models import Delivery, Event, Pulse, Timer
from apps.engine.operations import deliver
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.incidents.models import Incident
from apps.incidents.operations import change_visibility, post
from apps.messaging.connections import create_connection, create_destination
from apps.messaging.models import Message, WebhookEndpoint
from apps.oncall.models import Coverage, HolidayCalendar, Override, Pause, RoleBinding, RotationMember, Swap
from apps.oncall.operations import create_feed
from apps.paging.models import BundledPage, EscalationRun, MaintenanceWindow, Page, PageBundle
from apps.people.crypto import seal
from apps.people.models import ContactPoint, User
from apps.people.operations import create_service_account
from tests import factories
from tests.contract.remembered import BACKEND, DJANGOS, remember
from tests.contract.responding import respond

GROUPS = ("viewer", "responder", "commander", "manager", "approver", "auditor")
SECRET_TITLE = "Zanzibar ledger leak"


@dataclass
class World:
    """`visitors` maps a column of the table to a logged-in client; `objects` a kind to its row's key."""

    visitors: dict[str, Client] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)
    open_incident: Any = None
    private_incident: Any = None
    outsider: User | None = None
    commander: User | None = None


def build() -> World:
    """Everything once; the six people are members of the team that owns both incidents, the outsider is not."""
    world = World()
    pack = factories.novacron()
    people = {group: factories.named(f"{group}-of-core", group) for group in GROUPS}
    core = factories.team("Core", *people.values())
    world.commander = people["commander"]
    world.outsider = factories.named("outsider", "responder")
    other = factories.team("Other", world.outsider)
    on_call = people["responder"]
    ContactPoint.objects.create(
        user=on_call, kind="email", address="on-call@example.com", state="verified", verified_at=now()
    )
    factories.answers_for("primary", on_call)
    service = factories.service("Ledger", core)
    dependency = Dependency.objects.create(service=service, depends_on=factories.service("Vault", core))
    environment = Environment.objects.create(slug="production", name="Production")
    world.open_incident = factories.incident("Everybody may know", team_id=core.pk, service_ids=[service.pk])
    integration = factories.integration("alertmanager", core)
    world.private_incident = _from_an_alert(integration)
    change_visibility(world.private_incident.pk, "private", actor=Actor.system())
    post(world.private_incident.pk, f"About the {SECRET_TITLE}", actor=Actor.system())
    rotation = factories.rotation(core, on_call, slug="core", name="Core weekly", starts_on=date(2026, 1, 5))
    tomorrow = {"starts_at": now() + timedelta(days=1), "ends_at": now() + timedelta(days=2)}
    override = Override.objects.create(rotation=rotation, user=on_call, **tomorrow)
    account = create_service_account("robot", actor=Actor.system())
    world.objects = {
        "incidents": world.open_incident.pk,
        "users": on_call.pk,
        "tokens": factories.token(on_call)[0].pk,
        "contact-points": ContactPoint.objects.get().pk,
        "service-accounts": account.pk,
        "teams": core.pk,
        "services": service.pk,
        "environments": environment.pk,
        "dependencies": dependency.pk,
        "memberships": Membership.objects.filter(team=core).first().pk,  # type: ignore[union-attr]  # six are there
        "changes": Change.objects.create(title="Deploy 7", service=service).pk,
        "policy-packs": pack.pack.pk,
        "policy-versions": pack.pk,
        "rotations": rotation.pk,
        "layers": rotation.layers.get().pk,
        "rotation-members": RotationMember.objects.get().pk,
        "pauses": Pause.objects.create(rotation=rotation, user=on_call, **tomorrow).pk,
        "holiday-calendars": HolidayCalendar.objects.create(slug="own", name="Our days").pk,
        "overrides": override.pk,
        "coverages": Coverage.objects.create(rotation=rotation, user=on_call, **tomorrow).pk,
        "swaps": Swap.objects.create(rotation=rotation, user=on_call, **tomorrow).pk,
        "role-bindings": RoleBinding.objects.get(role="primary").pk,
        "messages": Message.objects.filter(subject_kind="incident").first().pk,  # type: ignore[union-attr]  # a page
        "integrations": integration.pk,
        "alerts": Alert.objects.get().pk,
        "alert-groups": AlertGroup.objects.get().pk,
        "pages": Page.objects.filter(subject_key=str(world.private_incident.pk)).first().pk,  # type: ignore[union-attr]  # paged
        "escalations": EscalationRun.objects.filter(subject_key=str(world.private_incident.pk)).first().pk,  # type: ignore[union-attr]  # the same
        "webhook-endpoints": _endpoint(people["manager"]).pk,
        "connections": create_connection("Bridge", "pagerduty", actor=Actor.system()).pk,
        "maintenance-windows": _window(core).pk,
        "notification-rules": on_call.pk,
        "page-bundles": _bundle(on_call, world.private_incident).pk,
        "calendar-feeds": create_feed(rotation_id=rotation.pk, actor=factories.actor(on_call))[0].pk,
        "destinations": create_destination("slack", "#core", "#core", actor=Actor.system()).pk,
        "receipts": Receipt.objects.first().pk,
        **respond(core, service, environment, world.private_incident, SECRET_TITLE),
    }
    Pulse.objects.get_or_create(name="ticker", defaults={"at": now()})
    assert Timer.objects.exists()
    assert Event.objects.exists()
    assert Delivery.objects.exists()
    world.visitors = _visitors(people | {"other team": world.outsider})
    del other
    return world


def _from_an_alert(integration: Integration) -> Incident:
    """The incident that an alert with the secret title opened, events delivered and pages queued."""
    factories.receipt(
        integration,
        {
            "version": "4",
            "status": "firing",
            "alerts": [
                {
                    "status": "firing",
                    "labels": {"alertname": SECRET_TITLE, "severity": "critical"},
                    "annotations": {"summary": SECRET_TITLE},
                    "startsAt": "2026-05-01T12:00:00Z",
                    "fingerprint": "0000000000000007",
                }
            ],
        },
    )
    group()
    deliver()
    return Incident.objects.get(title=SECRET_TITLE)


def _window(of: Team) -> MaintenanceWindow:
    begins = now() + timedelta(days=1)
    return MaintenanceWindow.objects.create(
        team=of, starts_at=begins, ends_at=begins + timedelta(hours=1), reason="The bank moves."
    )


def _bundle(user: User, incident: Incident) -> PageBundle:
    """Pages of this person about both incidents, told together."""
    made = PageBundle.objects.create(user=user, urgency="high", reason="storm", due_at=now())
    for page in Page.objects.filter(user=user):
        BundledPage.objects.create(bundle=made, page=page)
    assert made.pages.filter(subject_key=str(incident.pk)).exists()
    return made


def _endpoint(owner: User) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(
        name="Pipeline", url="https://pipeline.example.com/", secret_encrypted=seal("secret"), owner=owner
    )


def _visitors(people: dict[str, User]) -> dict[str, Client]:
    remember(people.values())
    found = {"anonymous": Client()}
    for column, user in people.items():
        client = Client()
        client.force_login(user, backend=BACKEND if BACKEND in settings.AUTHENTICATION_BACKENDS else DJANGOS)
        found[column] = client
    return found
