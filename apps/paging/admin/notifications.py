"""My notifications: the rules of one person, what is wrong with them, and a test page with measured times."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from unfold.decorators import display

from apps.foundation.errors import DomainError
from apps.paging import operations
from apps.paging.bundles import gathered_lately, visible_bundles
from apps.paging.models import NotificationPreference, PageBundle
from apps.paging.operations.notifying import VIEW, may_change_rules
from apps.paging.rules.document import HIGH, LEAST_BUNDLE_SECONDS, LOW, MOST_BUNDLE_SECONDS, wishes_of
from apps.paging.rules.form import form_rows, given_by, quiet_rows, targets_of
from apps.paging.rules.queries import findings_of, plan_for, visible_people
from apps.paging.testing import last_by_point, last_test, measured
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor
from apps.people.models import ContactPoint, User
from apps.people.queries import may_see_addresses

_PAGE_SIZE = 50


@admin.register(NotificationPreference)
class NotificationPreferenceAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Who has rules of their own; each is written on its person's page."""

    list_display = ("person", "high_rules", "low_rules", "quiet_entries", "changed_at")
    list_display_links = ("person",)
    list_select_related = ("user",)
    search_fields = ("user__username", "user__display_name")
    ordering = ("user__username",)
    fields = ("person", "page", "high", "low", "quiet", "when_quiet", "bundle_seconds", "version", "changed_at")
    readonly_fields = fields

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if request.user.has_perm(VIEW) else queryset.filter(user_id=request.user.pk or 0)

    @display(description="Person", ordering="user__display_name")
    def person(self, row: NotificationPreference) -> str:
        return row.user.name

    @display(description="Page")
    def page(self, row: NotificationPreference) -> str:
        address = reverse("admin:paging_notificationpreference_of", args=[row.user_id])
        return format_html('<a href="{}">Notifications of {}</a>', address, row.user.name)

    @display(description="High urgency")
    def high_rules(self, row: NotificationPreference) -> str:
        return f"{len(row.high)} rules" if row.high else "default"

    @display(description="Low urgency")
    def low_rules(self, row: NotificationPreference) -> str:
        return f"{len(row.low)} rules" if row.low else "default"

    @display(description="Quiet hours")
    def quiet_entries(self, row: NotificationPreference) -> str:
        return f"{len(row.quiet)} entries" if row.quiet else "none"

    # --- the page of a person ---

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "paging_notificationpreference"
        own: list[URLPattern] = [
            path("mine/", wrap(require_safe(self.mine)), name=f"{name}_mine"),
            path("everybody/", wrap(require_safe(self.everybody)), name=f"{name}_everybody"),
            path("of/<int:user_id>/", wrap(require_http_methods(["GET", "HEAD", "POST"])(self.of)), name=f"{name}_of"),
            path("of/<int:user_id>/test/", wrap(require_POST(self.test)), name=f"{name}_test"),
            path("of/<int:user_id>/tested/", wrap(require_safe(self.tested)), name=f"{name}_tested"),
        ]
        return [*own, *super().get_urls()]

    def mine(self, request: HttpRequest) -> HttpResponse:
        """One's own page."""
        return HttpResponseRedirect(reverse("admin:paging_notificationpreference_of", args=[request.user.pk]))

    def everybody(self, request: HttpRequest) -> HttpResponse:
        """Everybody whose rules one may see, with what is wrong with them; a constant number of queries."""
        page = Paginator(visible_people(request.user).filter(is_active=True).order_by("username"), _PAGE_SIZE).get_page(
            request.GET.get("p", "1")
        )
        people = list(page.object_list)
        findings = findings_of([user.pk for user in people], reader=request.user)
        rows = [(user, wishes_of(getattr(user, "notification_preference", None)), findings[user.pk]) for user in people]
        context = {**self.admin_site.each_context(request), "title": "Who can be reached", "page": page, "rows": rows}
        return TemplateResponse(request, "paging/notifications_everybody.html", context)

    def _person(self, request: HttpRequest, user_id: int) -> User:
        user = visible_people(request.user).filter(pk=user_id).first()
        if user is None:
            raise Http404("There is no such person, or you may not see their rules.")
        return user

    def of(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """GET shows the rules; POST saves them, or takes them back (`reset`)."""
        user = self._person(request, user_id)
        actor = request_actor(request)
        trouble: list[str] = []
        if request.method == "POST":
            try:
                if "reset" in request.POST:
                    operations.reset_rules(user.pk, actor=actor)
                    messages.success(request, "The default rules hold again.")
                else:
                    if not may_change_rules(actor, user.pk):
                        operations.change_rules(user.pk, actor=actor)  # says why not, before the form is read
                    operations.change_rules(user.pk, **given_by(request.POST), actor=actor)
                    messages.success(request, "Saved. Pages that are made from now on follow these rules.")
            except DomainError as error:
                trouble = list(dict.fromkeys([error.message, *(t for texts in error.fields.values() for t in texts)]))
            else:
                return HttpResponseRedirect(request.path)
        answer = TemplateResponse(request, "paging/notifications.html", self._context(request, user, trouble))
        answer.status_code = 400 if trouble else 200
        return answer

    def _context(self, request: HttpRequest, user: User, trouble: list[str]) -> dict[str, Any]:
        row = getattr(user, "notification_preference", None)
        wishes = wishes_of(row)
        points = list(ContactPoint.objects.filter(user=user).order_by("position", "id"))
        if not may_see_addresses(request.user, user.pk):
            for point in points:
                point.address = point.label = ""
        own = user.pk == request.user.pk
        sent = request.POST if trouble else None
        plan = plan_for(user, reader=request.user)
        return {
            **self.admin_site.each_context(request),
            "title": "My notifications" if own else f"Notifications of {user.name}",
            "person": user,
            "is_own": own,
            "may_change": may_change_rules(request_actor(request), user.pk),
            "trouble": trouble,
            "findings": findings_of([user.pk], reader=request.user)[user.pk],
            "wishes": wishes,
            "has_own": row is not None,
            "plans": [("High urgency", plan[HIGH], not wishes.high), ("Low urgency", plan[LOW], not wishes.low)],
            "targets": targets_of(points, wishes),
            "urgencies": [
                (HIGH, "High urgency", form_rows(HIGH, wishes, sent)),
                (LOW, "Low urgency", form_rows(LOW, wishes, sent)),
            ],
            "quiet_rows": quiet_rows(wishes, sent),
            "least_bundle": LEAST_BUNDLE_SECONDS,
            "most_bundle": MOST_BUNDLE_SECONDS,
            "default_bundle": settings.PAGE_BUNDLE_SECONDS,
            "points": points,
            "tested_points": self._tested_points(user, points),
            "gathered": sorted(gathered_lately(user.pk).items()),
            "may_see_everybody": request.user.has_perm(VIEW),
            **self._test_context(request, user),
        }

    @staticmethod
    def _tested_points(user: User, points: list[ContactPoint]) -> list[tuple[ContactPoint, Any]]:
        found = last_by_point([user.pk])
        return [(point, found.get(point.pk)) for point in points]

    @staticmethod
    def _test_context(request: HttpRequest, user: User) -> dict[str, Any]:
        newest = last_test(user.pk)
        calls = measured(newest, reader=request.user) if newest else []
        return {"test": newest, "test_calls": calls, "person": user, "is_running": any(c.is_waiting for c in calls)}

    def test(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """Send a test page through the person's rules."""
        user = self._person(request, user_id)
        self.perform(request, operations.page_me_now, user.pk, done="The test is on its way; its times are below.")
        return HttpResponseRedirect(f"{reverse('admin:paging_notificationpreference_of', args=[user.pk])}#test")

    def tested(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """The times of the newest test, which the page fetches while it runs."""
        user = self._person(request, user_id)
        answer = TemplateResponse(request, "paging/_tested.html", self._test_context(request, user))
        answer["Cache-Control"] = "no-store"
        return answer


@admin.register(PageBundle)
class PageBundleAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Pages that were told together, and why."""

    list_display = ("person", "reason", "urgency", "due_at", "created_at")
    list_display_links = ("person",)
    list_filter = ("reason", "urgency")
    list_select_related = ("user",)
    fields = ("person", "reason", "urgency", "due_at", "created_at", "told")
    readonly_fields: ClassVar[Any] = fields

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_bundles(request.user)

    @display(description="Person", ordering="user__display_name")
    def person(self, bundle: PageBundle) -> str:
        return bundle.user.name

    @display(description="Pages")
    def told(self, bundle: PageBundle) -> str:
        return f"{bundle.pages.count()} pages"
