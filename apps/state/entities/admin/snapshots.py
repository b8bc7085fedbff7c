"""One snapshot: how far it is, whether it verifies, what it holds, and the way to put some of it back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import display

from apps.people.admin.base import request_actor
from apps.state.admin.showing import text_of
from apps.state.entities import operations
from apps.state.entities.admin.pages import PAGE_LENGTH, JobAdmin, attempt
from apps.state.entities.models import Snapshot
from apps.state.entities.packing import found_in, listed, problems_of
from apps.state.entities.permissions import RESTORE, SNAPSHOT, may
from apps.state.entities.queries import visible_snapshots


class IdsForm(forms.Form):
    """Ids of entities, one in a line."""

    ids = forms.CharField(max_length=2_100_000, widget=forms.Textarea(attrs={"class": "ip-input ip-mono", "rows": 4}))

    def clean_ids(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["ids"].splitlines() if line.strip()]


@admin.register(Snapshot)
class SnapshotAdmin(JobAdmin):
    """Snapshots never change once they are done."""

    list_display = ("shown", "came", "done_count", "stored", "origin", "reason", "author_name", "pinned", "created_at")
    list_filter = ("source", "state", "origin", "pinned")
    search_fields = ("reason", "source__name", "source__slug", "checksum")
    ordering = ("-id",)
    BUTTONS = {"pin": "pin_view", "stop": "stop_view", "restore": "restore_view"}
    LOOKS = {"verify": "verify_view"}

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_snapshots(request.user).select_related("source__service__owner")

    @display(description="Snapshot", ordering="number")
    def shown(self, snapshot: Snapshot) -> str:
        return str(snapshot)

    @display(description="Stored", ordering="stored_bytes")
    def stored(self, snapshot: Snapshot) -> str:
        return f"{snapshot.stored_bytes / 1e6:.1f} MB"

    def page(self, request: HttpRequest, row: Snapshot) -> HttpResponse:
        actor = request_actor(request)
        after, wanted = request.GET.get("after", "")[:200], request.GET.get("id", "")[:200].strip()
        is_done = row.state == Snapshot.State.DONE
        entities, problem = attempt(lambda: self._entities(row, after, wanted)) if is_done else ([], "")
        has_more = bool(entities) and len(entities) > PAGE_LENGTH
        rows = [(each, text_of(each.document)) for each in (entities or [])[:PAGE_LENGTH]]
        context = self.context(
            request,
            str(row),
            job=row,
            snapshot=row,
            entities=rows,
            problem=problem,
            wanted=wanted,
            next_after=rows[-1][0].id if has_more else "",
            form=IdsForm(),
            may_snapshot=may(actor, row.source, SNAPSHOT),
            may_restore=may(actor, row.source, RESTORE) and is_done,
            earlier=visible_snapshots(request.user)
            .filter(source=row.source, number__lt=row.number, state=Snapshot.State.DONE)
            .order_by("-number")
            .first(),
        )
        return TemplateResponse(request, "state/entities/snapshot.html", context)

    def _entities(self, row: Snapshot, after: str, wanted: str) -> Any:
        if wanted:
            return list(found_in(row, [wanted]).values())
        return listed(row, after=after, limit=PAGE_LENGTH + 1)

    def verify_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Whether every stored line is as it was written; the page loads it by itself."""
        row = self.known(request, object_id)
        problems = problems_of(row) if row.state == Snapshot.State.DONE else []
        return TemplateResponse(request, "state/entities/_verified.html", {"snapshot": row, "problems": problems})

    def pin_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Keep it from retention, or no longer."""
        pinned = request.POST.get("pinned") == "1"
        done = "It is pinned: retention leaves it alone." if pinned else "It is no longer pinned."
        why = request.POST.get("reason", "")
        return self.press(request, operations.pin_snapshot, str(object_id), pinned=pinned, reason=why, done=done)

    def stop_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Take it no further."""
        why = request.POST.get("reason", "")
        done = "It is stopped: nothing of it is kept."
        return self.press(request, operations.stop_snapshot, str(object_id), reason=why, done=done)

    def restore_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask for the dry run of putting some ids back."""
        row = self.known(request, object_id)
        form = IdsForm(request.POST)
        ids = form.cleaned_data["ids"] if form.is_valid() else []
        made = self.perform(request, operations.plan_restore, row.pk, ids)
        if made is None:
            return self.go_to_row(request, str(object_id))
        return HttpResponseRedirect(reverse("admin:state_entityrestore_change", args=[made.pk]))
