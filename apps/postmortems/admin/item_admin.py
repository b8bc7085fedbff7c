"""Action items in the admin: the list by due date, and the page of one with its buttons."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_http_methods, require_safe

from apps.foundation.clock import now
from apps.incidents.admin.showing import chip_of
from apps.incidents.queries import url as incident_url
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin
from apps.people.zones import zone_of
from apps.postmortems.admin import acting
from apps.postmortems.admin.actions import ITEM_VERBS
from apps.postmortems.admin.filters import WhichItems
from apps.postmortems.admin.items import item_rows
from apps.postmortems.admin.listing import ItemColumns
from apps.postmortems.admin.page import review_view
from apps.postmortems.models import ActionItem
from apps.postmortems.queries import visible_items

_LOADED = ("review__incident__team", "review__owner", "owner", "team", "created_by")


@admin.register(ActionItem)
class ActionItemAdmin(ItemColumns, ReadOnlyAdmin, PortalModelAdmin):
    """Everything here is read; what changes an item are its buttons."""

    list_display = ("title_column", "owner_column", "priority", "due_column", "state_column")
    list_display_links = None
    list_filter = (WhichItems, "priority")
    list_filter_sheet = True
    list_before_template = "postmortems/items_before.html"
    list_per_page = 50
    search_fields = ("title", "description", "review__title", "review__incident__number", "owner__username",
                     "owner__display_name")  # fmt: skip
    search_help_text = "What is to be done, owner, review or incident"
    ordering = ("due_at", "id")
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[ActionItem]:
        return visible_items(request.user).select_related(*_LOADED)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None and request.user.has_perm("postmortems.view_actionitem"):
            return True
        rows = visible_items(request.user)
        return rows.filter(pk=obj.pk).exists() if obj is not None else rows.exists()

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(require_http_methods(["GET", "HEAD", "POST"])(self.act))
        return [
            path("<int:object_id>/do/<slug:verb>/", act, name="postmortems_actionitem_act"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        links = WhichItems.links(request, reverse("admin:postmortems_actionitem_changelist"))
        shown = {"title": "Action items", "quick_filters": links}
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One item with all that is known of it, and its buttons."""
        found: HttpResponse = require_safe(self._page)(request, self._find(request, object_id))
        return found

    def _page(self, request: HttpRequest, item: ActionItem) -> HttpResponse:
        incident = item.review.incident
        context = {
            **self.admin_site.each_context(request),
            "title": "Action item",
            "item": item_rows([item], request.user, zone_of(request.user), now())[0],
            "review": item.review,
            "chip": chip_of(incident),
            "incident": incident,
            "incident_url": incident_url(str(incident.pk)),
            "created_by": item.created_by.name if item.created_by else "the portal",
            "history_url": reverse("admin:postmortems_actionitem_history", args=[item.pk]),
        }
        return acting.fresh(render(request, "postmortems/item.html", context))

    def act(self, request: HttpRequest, object_id: int, verb: str) -> HttpResponse:
        """A button: GET asks, POST acts."""
        if verb not in ITEM_VERBS:
            raise Http404
        item = self._find(request, str(object_id))
        page = reverse("admin:postmortems_actionitem_change", args=[item.pk])
        review_page = reverse("admin:postmortems_review_change", args=[item.review_id])
        from_review = (request.POST or request.GET).get("from") == "review"
        back = f"{review_page}#items" if from_review else page
        chosen = ITEM_VERBS[verb]
        if request.method != "POST":
            return acting.ask(request, self.admin_site, chosen, item, back=back)
        refused = acting.act(
            request, self.admin_site, chosen, item, acting.sent_by(request, item.review, item.pk), back=back
        )
        if refused is not None:
            return refused
        if from_review and acting.by_htmx(request):
            return acting.changed(request, review_view(item.review_id, request))
        return acting.leave(request, back)

    def _find(self, request: HttpRequest, object_id: str) -> ActionItem:
        """The item, or 404: for what does not exist and for what this person may not see alike."""
        item: ActionItem | None = self.get_object(request, object_id)
        if item is None or not self.has_view_permission(request, item):
            raise Http404("There is no such action item, or you may not see it.")
        return item
