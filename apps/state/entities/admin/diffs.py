"""What differs between two snapshots: its scope, its entities by filter, as CSV, and the way to put them back."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django.contrib import admin, messages
from django.core.handlers.asgi import ASGIRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from apps.people.admin.base import request_actor
from apps.state.admin.showing import diff_rows
from apps.state.entities import operations
from apps.state.entities.admin.pages import PAGE_LENGTH, FilterForm, JobAdmin, attempt
from apps.state.entities.comparing import Entry, Filter, Looked, look, walk
from apps.state.entities.models import SnapshotDiff
from apps.state.entities.permissions import RESTORE, may
from apps.state.entities.queries import visible_diffs

_MOST_FIELDS = 12
_LINES_AT_ONCE = 500
_UNKNOWN: Entry = {"path": "(may also fit: it differs at more places than are kept)", "before": None, "after": None}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_HEAD = ("id", "change", "place", "before", "after", "version_before", "version_after")


@admin.register(SnapshotDiff)
class SnapshotDiffAdmin(JobAdmin):
    """Diffs are made by comparing two snapshots on a source's page."""

    list_display = ("__str__", "came", "added_count", "removed_count", "changed_count", "author_name", "created_at")
    list_filter = ("state", "before__source")
    search_fields = ("before__source__name", "before__source__slug")
    ordering = ("-id",)
    BUTTONS = {"restore": "restore_view"}
    LOOKS = {"csv": "csv_view"}

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_diffs(request.user).select_related("before__source__service__owner", "after__source")

    def source_of(self, row: Any) -> Any:
        return row.before.source

    def page(self, request: HttpRequest, row: SnapshotDiff) -> HttpResponse:
        form = FilterForm(request.GET or None)
        chosen, after = form.chosen(), request.GET.get("after", "")[:200]
        found, problem = None, ""
        if row.state == SnapshotDiff.State.DONE:
            found, problem = attempt(lambda: look(row, chosen, after=after, limit=PAGE_LENGTH))
        looked: Looked = found or Looked()
        context = self.context(
            request,
            str(row),
            job=row,
            diff=row,
            source=row.before.source,
            form=form,
            chosen=chosen,
            looked=looked,
            problem=problem,
            fields=looked.fields.most_common(_MOST_FIELDS),
            more_fields=max(0, len(looked.fields) - _MOST_FIELDS),
            rows=[(entry, diff_rows(entry["changes"])) for entry in looked.entries],
            query=_query(chosen),
            may_restore=may(request_actor(request), row.before.source, RESTORE),
        )
        return TemplateResponse(request, "state/entities/diff.html", context)

    def csv_view(self, request: HttpRequest, object_id: int) -> HttpResponse | StreamingHttpResponse:
        """Everything that the filter finds, a line for each place, streamed."""
        row = self.known(request, object_id)
        form = FilterForm(request.GET)
        problem = "" if form.is_valid() else "The filter can't be read: correct it first."
        if row.state != SnapshotDiff.State.DONE:
            problem = "The two snapshots are still being compared, or could not be: there is nothing to export."
        if problem:
            self.message_user(request, problem, messages.ERROR)
            return self.go_to_row(request, str(object_id))
        lines = csv_lines(row, form.chosen())
        # Under ASGI a plain iterator would be read to its end before the first byte leaves.
        content = _by_parts(lines) if isinstance(request, ASGIRequest) else lines
        answer = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
        name = f"{row.before.source.slug}-{row.before.number}-{row.after.number}.csv"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer

    def restore_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask for the dry run of putting the ticked entities back, or all that the filter finds."""
        row = self.known(request, object_id)
        ids = request.POST.getlist("ids")
        form = FilterForm(request.POST)
        if not form.is_valid():  # else a filter that nobody understands would be none, and all would go back
            self.message_user(request, "The filter can't be read: correct it first.", messages.ERROR)
            return self.go_to_row(request, str(object_id))
        if request.POST.get("all") == "1":
            made = self.perform(request, operations.plan_restore_of_diff, row.pk, form.chosen())
        else:
            made = self.perform(request, operations.plan_restore, row.before_id, ids)
        if made is None:
            return self.go_to_row(request, str(object_id))
        return HttpResponseRedirect(reverse("admin:state_entityrestore_change", args=[made.pk]))


def _query(chosen: Filter) -> str:
    """The filter as an address carries it."""
    given = {"op": chosen.op, "path": chosen.path, "id": chosen.id, "delta": chosen.delta}
    return urlencode({name: value for name, value in given.items() if value not in ("", None)})


class _Line:
    """A file whose `write` gives back what was written, so that a writer can stream."""

    def write(self, text: str) -> str:
        return text


async def _by_parts(lines: Iterator[str]) -> AsyncIterator[str]:
    """The same lines, some hundred at a time, for a server that must not wait for the database."""
    while part := await sync_to_async(lambda: "".join(islice(lines, _LINES_AT_ONCE)))():
        yield part


def csv_lines(diff: SnapshotDiff, chosen: Filter) -> Iterator[str]:
    """The lines of the export. What a spreadsheet would take for a formula gets an apostrophe before it.

    An entity of which it is not known whether it fits has a line that says so.
    """
    writer = csv.writer(_Line())
    yield str(writer.writerow(_HEAD))
    for entry in walk(diff, chosen):
        if entry.get("may_fit"):
            yield str(writer.writerow([_cell(value) for value in _row(entry, _UNKNOWN)]))
        for change in entry["changes"]:
            yield str(writer.writerow([_cell(value) for value in _row(entry, change)]))


def _row(entry: Entry, change: Entry) -> tuple[Any, ...]:
    sides = (json.dumps(change[side], ensure_ascii=False) if change[side] is not None else "" for side in _SIDES)
    return (entry["id"], entry["op"], change["path"], *sides, entry["before_version"], entry["after_version"])


_SIDES = ("before", "after")


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
