"""The look and the sidebar: what the portal calls itself, its colours, and its pages ordered by task.

Settings import this module before any app is ready, so models are only touched inside the callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse

from incidentportal import env

PRODUCT = "Incident Portal"
ENVIRONMENT_LABEL = env.text("ENVIRONMENT_LABEL", default="")
MOST_SHOWN = 99

Badge = Callable[[HttpRequest], tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the sidebar: shown where its page exists and the user holds one of `permissions` (none: all)."""

    title: str
    icon: str
    page: str
    permissions: tuple[str, ...] = ()
    query: str = ""
    badge: Badge | None = None
    variant: str = "danger"


def _open_incidents(request: HttpRequest) -> tuple[int, str]:
    """How many open incidents the user may see."""
    from apps.incidents.models import Incident
    from apps.incidents.queries import visible_to

    assert not request.user.is_anonymous
    return visible_to(request.user).exclude(phase=Incident.Phase.RESOLVED).count(), "open"


def _unread(request: HttpRequest) -> tuple[int, str]:
    """How many messages in the user's inbox are not read yet."""
    from apps.messaging.models import Message

    rows = Message.objects.filter(recipient_id=request.user.pk, channel=Message.Channel.INBOX, read_at__isnull=True)
    return rows[: MOST_SHOWN + 1].count(), "new"


def _firing(request: HttpRequest) -> tuple[int, str]:
    """How many alerts that the user may see fire now; bounded, because a storm may hold very many."""
    from apps.alerts.models import Alert
    from apps.alerts.queries import visible_alerts

    assert not request.user.is_anonymous
    return visible_alerts(request.user).filter(state=Alert.State.FIRING)[: MOST_SHOWN + 1].count(), "firing"


def _to_decide(request: HttpRequest) -> tuple[int, str]:
    """How many approvals wait for the user's decision."""
    from apps.approvals.queries import waiting_for

    assert not request.user.is_anonymous
    return waiting_for(request.user)[: MOST_SHOWN + 1].count(), "waiting"


def _my_overdue(request: HttpRequest) -> tuple[int, str]:
    """How many action items of the user are overdue."""
    from apps.postmortems.queries import overdue_items_of

    assert not request.user.is_anonymous
    return overdue_items_of(request.user)[: MOST_SHOWN + 1].count(), "overdue"


SIDEBAR: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Respond",
        (
            Entry("Home", "radar", "index"),
            Entry("Incidents", "local_fire_department", "incidents_incident_changelist", badge=_open_incidents),
            Entry("Declare an incident", "campaign", "incidents_incident_declare", ("incidents.declare_incident",)),
            Entry(
                "Alerts",
                "notifications_active",
                "alerts_alert_changelist",
                ("alerts.view_alert",),
                badge=_firing,
                variant="warning",
            ),
            Entry(
                "Approvals",
                "how_to_reg",
                "approvals_approvalrequest_changelist",
                ("approvals.view_approvalrequest",),
                badge=_to_decide,
                variant="warning",
            ),
            Entry("Executions", "play_circle", "runbooks_execution_changelist", ("runbooks.view_execution",)),
            Entry("Flags", "power_settings_new", "flags_flag_changelist", ("flags.view_flag",)),
            Entry("Inbox", "inbox", "messaging_message_inbox", badge=_unread, variant="primary"),
        ),
    ),
    (
        "Prepare",
        (
            Entry("On call", "call", "oncall_rotation_changelist", ("oncall.view_rotation",)),
            Entry("Calendar", "calendar_month", "oncall_rotation_calendar", ("oncall.view_rotation",)),
            Entry("Cover", "swap_horiz", "oncall_override_changelist", ("oncall.view_override",)),
            Entry("Swaps", "swap_calls", "oncall_swap_changelist", ("oncall.view_swap",)),
            Entry("Holidays", "event", "oncall_holidaycalendar_changelist", ("oncall.view_holidaycalendar",)),
            Entry("Who is paged", "badge", "oncall_rolebinding_changelist", ("oncall.view_rolebinding",)),
            Entry(
                "Maintenance",
                "engineering",
                "paging_maintenancewindow_changelist",
                ("paging.view_maintenancewindow",),
            ),
            Entry("My notifications", "notifications_active", "paging_notificationpreference_mine"),
            Entry("Runbooks", "menu_book", "runbooks_runbook_changelist", ("runbooks.view_runbook",)),
            Entry("Mitigations", "healing", "runbooks_mitigation_changelist", ("runbooks.view_mitigation",)),
            Entry("Configs", "tune", "state_configdocument_changelist", ("state.view_configdocument",)),
            Entry("Snapshots", "photo_library", "state_entitysource_changelist", ("state.view_entitysource",)),
            Entry("Experiments", "science", "flags_experiment_changelist", ("flags.view_experiment",)),
            Entry("Segments", "group_work", "flags_segment_changelist", ("flags.view_segment",)),
            Entry("Policies", "rule", "policies_policypack_changelist", ("policies.view_policypack",)),
            Entry("Services", "deployed_code", "catalog_service_changelist", ("catalog.view_service",)),
            Entry("Teams", "groups", "catalog_team_changelist", ("catalog.view_team",)),
        ),
    ),
    (
        "Learn",
        (
            Entry("Reviews", "fact_check", "postmortems_review_changelist", ("postmortems.view_review",)),
            Entry(
                "Action items",
                "task_alt",
                "postmortems_actionitem_changelist",
                ("postmortems.view_actionitem",),
                badge=_my_overdue,
                variant="warning",
            ),
            Entry("Past incidents", "history", "incidents_incident_changelist", query="?state=resolved"),
            Entry("What changed", "published_with_changes", "catalog_change_changelist", ("catalog.view_change",)),
            Entry("Pages sent", "contact_phone", "paging_page_changelist", ("paging.view_page",)),
            Entry("Told together", "stacks", "paging_pagebundle_changelist", ("paging.view_pagebundle",)),
        ),
    ),
    (
        "Administer",
        (
            Entry("People", "person", "people_user_changelist", ("people.view_user",)),
            Entry("Groups", "admin_panel_settings", "auth_group_changelist", ("auth.view_group",)),
            Entry("API tokens", "key", "people_apitoken_changelist", ("people.view_apitoken",)),
            Entry("Integrations", "cable", "alerts_integration_changelist", ("alerts.view_integration",)),
            Entry("Secrets", "vpn_key", "runbooks_secret_changelist", ("runbooks.view_secret",)),
            Entry("Receipts", "receipt_long", "alerts_receipt_changelist", ("alerts.view_receipt",)),
            Entry("Connections", "cable", "messaging_connection_changelist", ("messaging.view_connection",)),
            Entry("Destinations", "forum", "messaging_destination_changelist", ("messaging.view_destination",)),
            Entry("Webhooks", "webhook", "messaging_webhookendpoint_changelist", ("messaging.view_webhookendpoint",)),
            Entry("Messages", "outgoing_mail", "messaging_message_changelist", ("messaging.view_message",)),
            Entry("Environments", "dns", "catalog_environment_changelist", ("catalog.view_environment",)),
            Entry("Timers", "timer", "engine_timer_changelist", ("engine.view_timer",)),
            Entry("Deliveries", "move_to_inbox", "engine_delivery_changelist", ("engine.view_delivery",)),
        ),
    ),
)


def _badge_text(count: int, word: str) -> str:
    return f"{MOST_SHOWN}+ {word}" if count > MOST_SHOWN else f"{count} {word}"


def _line(entry: Entry, request: HttpRequest) -> dict[str, Any] | None:
    """What Unfold shows of an entry, or None where the user has no business there."""
    if entry.permissions and not any(request.user.has_perm(name) for name in entry.permissions):
        return None
    try:
        address = reverse(f"admin:{entry.page}")
    except NoReverseMatch:
        return None
    line: dict[str, Any] = {"title": entry.title, "icon": entry.icon, "link": address + entry.query}
    wanted, here = entry.query.removeprefix("?"), request.META.get("QUERY_STRING", "")
    if entry.page == "incidents_incident_changelist":
        # Two lines lead to the one list, and the pages of one incident belong to the first of them.
        declaring = request.path.endswith("/incident/declare/")
        inside = request.path.startswith(address) and not declaring
        line["active"] = inside and (wanted in here if wanted else "state=resolved" not in here)
    if entry.page == "oncall_rotation_changelist":
        own = request.path.removeprefix(address).startswith(("calendar/", "fairness/"))
        line["active"] = request.path.startswith(address) and not own
    if entry.badge is not None:
        count, word = entry.badge(request)
        if count:
            line |= {"badge": _badge_text(count, word), "badge_variant": entry.variant}
    return line


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of the sidebar as this user sees them; one counting query for each badge."""
    groups: list[dict[str, Any]] = []
    for title, entries in SIDEBAR:
        lines = [line for entry in entries if (line := _line(entry, request)) is not None]
        if lines:
            groups.append({"title": title, "items": lines})
    return groups


def environment(request: HttpRequest) -> list[str] | None:
    """The label in the header, so that nobody takes a playground for production."""
    if ENVIRONMENT_LABEL:
        return [ENVIRONMENT_LABEL, "warning"]
    return ["Demo", "info"] if settings.DEMO else None


def _file(name: str) -> Callable[[HttpRequest], str]:
    return lambda _request: static(f"portal/{name}")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": PRODUCT,
    "SITE_HEADER": PRODUCT,
    "SITE_URL": None,
    "SITE_ICON": {"light": _file("logo-light.svg"), "dark": _file("logo-dark.svg")},
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _file("favicon.svg")}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "incidentportal.navigation.environment",
    "DASHBOARD_CALLBACK": "apps.incidents.admin.home.dashboard",
    "STYLES": [_file("portal.css")],
    "SCRIPTS": [_file("portal.js")],
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "base": {
            "50": "oklch(98.4% .003 230)",
            "100": "oklch(96.4% .005 230)",
            "200": "oklch(92.4% .008 230)",
            "300": "oklch(86.8% .012 231)",
            "400": "oklch(71.5% .02 233)",
            "500": "oklch(53.5% .026 236)",
            "600": "oklch(43.8% .029 238)",
            "700": "oklch(36.5% .03 240)",
            "800": "oklch(27.5% .028 242)",
            "900": "oklch(20.5% .024 244)",
            "950": "oklch(14.5% .02 246)",
        },
        "primary": {
            "50": "oklch(97.6% .014 205)",
            "100": "oklch(94.4% .033 205)",
            "200": "oklch(89.6% .061 206)",
            "300": "oklch(82.4% .095 207)",
            "400": "oklch(75.5% .118 209)",
            "500": "oklch(70% .119 212)",
            "600": "oklch(50.5% .091 219)",
            "700": "oklch(44.4% .08 221)",
            "800": "oklch(38.2% .068 223)",
            "900": "oklch(32.6% .057 225)",
            "950": "oklch(24.2% .044 227)",
        },
        "font": {
            "subtle-light": "var(--color-base-500)",
            "subtle-dark": "var(--color-base-400)",
            "default-light": "var(--color-base-700)",
            "default-dark": "var(--color-base-300)",
            "important-light": "var(--color-base-900)",
            "important-dark": "var(--color-base-100)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "incidentportal.navigation.sidebar",
    },
}
