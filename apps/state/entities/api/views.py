"""Sources, snapshots, diffs and restores of entities over the API. Work is asked for, and its state read."""

from __future__ import annotations

import math
import uuid
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.foundation.errors import Conflict, Invalid
from apps.people.api.idempotency import HEADER
from apps.people.api.problems import MEDIA_TYPE
from apps.people.api.serializers import ProblemSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.state.entities import operations
from apps.state.entities.api import inputs as taken
from apps.state.entities.api import serializers as shown
from apps.state.entities.comparing import OPS, Filter, look
from apps.state.entities.models import EntityRestore, EntitySource, Snapshot, SnapshotDiff
from apps.state.entities.packing import problems_of
from apps.state.entities.permissions import (
    ADD,
    CHANGE,
    RESTORE,
    SNAPSHOT,
    VIEW,
    require_may,
    require_may_somewhere,
)
from apps.state.entities.queries import visible_diffs, visible_restores, visible_snapshots, visible_sources

_AREA = "entities"
_MOST_LISTED = 200
_PROBLEM: dict[Any, Any] = {(409, MEDIA_TYPE): ProblemSerializer}


def _text(name: str, what: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, description=what)


_PAGING = [
    _text("after", "an entity's id: the page begins after it"),
    OpenApiParameter("limit", OpenApiTypes.INT, description=f"1 to {_MOST_LISTED}; 50 unless given"),
]
_FILTER = [
    OpenApiParameter("op", OpenApiTypes.STR, enum=OPS),
    _text("path", "a place, such as `inventory[*].count`; * is anything"),
    _text("id", "an id; * is anything"),
    OpenApiParameter("delta", OpenApiTypes.FLOAT, description="a number there moved by more than this"),
]


class _EntityViewSet(PortalReadOnlyViewSet):
    """What all of them share: who may do a verb is asked before its body is looked at."""

    scope_area = _AREA
    needs: dict[str, str] = {}

    def source_of(self, row: Any) -> EntitySource:
        found: EntitySource = row.source
        return found

    @cached_property
    def row(self) -> Any:
        """The row in the address; 404 where the caller may not know of it."""
        return self.get_object()

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.detail and self.action in self.needs:
            require_may(self.actor, self.source_of(self.row), self.needs[self.action])
        return super().inputs(serializer_class, partial=partial)

    def effect_key(self) -> str:
        given = self.request.headers.get(HEADER)
        return f"api:{self.request.user.pk}:{given}" if given else f"api:{uuid.uuid4().hex}"

    def window(self) -> tuple[str, int]:
        """`after` and `limit` of the address."""
        text = self.request.query_params.get("limit", "50")
        limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0  # noqa: PLR2004  # a short number
        if not 1 <= limit <= _MOST_LISTED:
            sentence = f"A whole number from 1 to {_MOST_LISTED}."
            raise Invalid(f"`limit`: {sentence}", fields={"limit": [sentence]})
        return self.request.query_params.get("after", "")[:200].replace("\x00", ""), limit


class EntitySourceViewSet(_EntityViewSet):
    """Systems that hold players, accounts or villages."""

    needs = {"partial_update": CHANGE, "take_snapshot": SNAPSHOT}
    action_permissions = {"list": VIEW, "retrieve": VIEW, "create": None, **dict.fromkeys(needs)}
    queryset = EntitySource.objects.select_related("service")
    serializer_class = shown.EntitySourceSerializer
    filterset_fields = ("slug", "kind", "service", "environment")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_sources(self.request.user).values("pk"))

    def source_of(self, row: Any) -> EntitySource:
        found: EntitySource = row
        return found

    @extend_schema(request=taken.EntitySourceInput, responses={201: shown.EntitySourceSerializer})
    def create(self, request: Request) -> Response:
        """Make a source; the lead of the team that owns the service may, too."""
        require_may_somewhere(self.actor, ADD)
        made = self.perform(operations.create_source, **self.inputs(taken.EntitySourceInput))
        return self.answer(made, status=201)

    @extend_schema(request=taken.EntitySourceFieldsInput, responses=shown.EntitySourceSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is said about a source; its snapshots stay."""
        given = self.inputs(taken.EntitySourceFieldsInput)
        self.expected_version(self.row)
        revision = self.row.revision if request.headers.get("If-Match", "*").strip() != "*" else None
        done = self.perform(operations.edit_source, self.row.pk, expected_revision=revision, **given)
        return self.answer(done)

    @extend_schema(request=taken.TakeSnapshotInput, responses={201: shown.SnapshotSerializer, **_PROBLEM})
    @action(detail=True, methods=["post"], url_path="take-snapshot")
    def take_snapshot(self, request: Request, pk: str) -> Response:
        """Ask for a snapshot; a worker takes it, and its own address says how far it is."""
        given = self.inputs(taken.TakeSnapshotInput)
        made = self.perform(operations.take_snapshot, self.row.pk, effect_key=self.effect_key(), **given)
        return self.answer(made, status=201, serializer_class=shown.SnapshotSerializer)


class SnapshotViewSet(_EntityViewSet):
    """Snapshots, newest first, also those that are being taken. Nothing of the documents is shown here."""

    needs = {"pin": SNAPSHOT, "stop": SNAPSHOT}
    action_permissions = {"list": VIEW, "retrieve": VIEW, "verify": VIEW, **dict.fromkeys(needs)}
    queryset = Snapshot.objects.select_related("source__service")
    serializer_class = shown.SnapshotSerializer
    filterset_fields = ("source", "source__slug", "state", "origin", "pinned", "number")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_snapshots(self.request.user).values("pk"))

    @extend_schema(request=taken.PinSnapshotInput, responses=shown.SnapshotSerializer)
    @action(detail=True, methods=["post"])
    def pin(self, request: Request, pk: str) -> Response:
        """Keep it from retention, or no longer. A repeat changes nothing."""
        return self.answer(self.perform(operations.pin_snapshot, self.row.pk, **self.inputs(taken.PinSnapshotInput)))

    @extend_schema(request=taken.StopSnapshotInput, responses={200: shown.SnapshotSerializer, **_PROBLEM})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Take it no further: nothing of it is kept. A repeat changes nothing; 409 for one that is done or failed."""
        given = self.inputs(taken.StopSnapshotInput)
        return self.answer(self.perform(operations.stop_snapshot, self.row.pk, **given))

    @extend_schema(responses={200: shown.SnapshotProblemsSerializer, **_PROBLEM}, filters=False)
    @action(detail=True, methods=["get"])
    def verify(self, request: Request, pk: str) -> Response:
        """Read all of it, and say whether every line is as it was stored."""
        if self.row.state != Snapshot.State.DONE:
            raise Conflict("This snapshot is not done.", code="snapshot_not_done")
        problems = problems_of(self.row)
        body = {"verifies": not problems, "problems": problems[:20]}
        return Response(shown.SnapshotProblemsSerializer(body).data)


class SnapshotDiffViewSet(_EntityViewSet):
    """What differs between two snapshots."""

    action_permissions = {"list": VIEW, "retrieve": VIEW, "entries": VIEW, "create": None}
    queryset = SnapshotDiff.objects.select_related("before__source__service")
    serializer_class = shown.SnapshotDiffSerializer
    filterset_fields = ("before", "after", "state")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_diffs(self.request.user).values("pk"))

    @extend_schema(request=taken.CompareSnapshotsInput, responses={201: shown.SnapshotDiffSerializer, **_PROBLEM})
    def create(self, request: Request) -> Response:
        """Compare two snapshots of one source. A repeat finds the same diff."""
        require_may_somewhere(self.actor, SNAPSHOT)
        given = self.inputs(taken.CompareSnapshotsInput)
        return self.answer(self.perform(operations.compare, given["before"], given["after"]), status=201)

    @extend_schema(
        parameters=[*_FILTER, *_PAGING], responses={200: shown.DiffPageSerializer, **_PROBLEM}, filters=False
    )
    @action(detail=True, methods=["get"])
    def entries(self, request: Request, pk: str) -> Response:
        """The entities that fit a filter, by id, and the scope of all of them."""
        after, limit = self.window()
        given: dict[str, Any] = {name: request.query_params[name] for name in _NAMES if name in request.query_params}
        chosen = _filter({**given, **({"delta": _number(given["delta"])} if given.get("delta") else {})})
        if self.row.state != SnapshotDiff.State.DONE:
            raise Conflict("The two snapshots are still being compared.", code="diff_not_done")
        found = look(self.row, chosen, after=after, limit=limit)
        body = {
            "total": found.total,
            "may_fit": found.may_fit,
            "ops": dict(found.ops),
            "fields": dict(found.fields),
            "entries": found.entries,
            "next_after": found.last_id if found.has_more else None,
        }
        return Response(shown.DiffPageSerializer(body).data)


class EntityRestoreViewSet(_EntityViewSet):
    """Entities on their way back: a dry run first, then, confirmed, compare-and-set for each."""

    needs = {"confirm": RESTORE, "resume": RESTORE}
    action_permissions = {"list": VIEW, "retrieve": VIEW, "items": VIEW, "create": None, **dict.fromkeys(needs)}
    queryset = EntityRestore.objects.select_related("source__service")
    serializer_class = shown.EntityRestoreSerializer
    filterset_fields = ("source", "snapshot", "state")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_restores(self.request.user).values("pk"))

    @extend_schema(request=taken.PlanRestoreInput, responses={201: shown.EntityRestoreSerializer, **_PROBLEM})
    def create(self, request: Request) -> Response:
        """Ask for a dry run: each entity is read, nothing is written."""
        require_may_somewhere(self.actor, RESTORE)
        given = self.inputs(taken.PlanRestoreInput)
        more = {"reason": given.get("reason", ""), "effect_key": self.effect_key()}
        named = [name for name in ("snapshot", "diff", "undoes") if given.get(name)]
        if len(named) != 1:
            sentence = "Name one of `snapshot`, `diff` and `undoes`."
            raise Invalid(sentence, fields={"snapshot": [sentence]})
        if named == ["snapshot"]:
            made = self.perform(operations.plan_restore, given["snapshot"], given.get("ids", []), **more)
        elif named == ["diff"]:
            chosen = _filter(given.get("filter") or {})
            made = self.perform(operations.plan_restore_of_diff, given["diff"], chosen, **more)
        else:
            made = self.perform(operations.plan_undo, given["undoes"], **more)
        return self.answer(made, status=201)

    @extend_schema(request=taken.ConfirmRestoreInput, responses={200: shown.EntityRestoreSerializer, **_PROBLEM})
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, pk: str) -> Response:
        """Carry the dry run out exactly as it was seen. A repeat changes nothing."""
        given = self.inputs(taken.ConfirmRestoreInput)
        return self.answer(self.perform(operations.confirm_restore, self.row.pk, **given))

    @extend_schema(request=taken.EntityNothingInput, responses=shown.EntityRestoreSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on after a failure: what is done stays done."""
        self.inputs(taken.EntityNothingInput)
        return self.answer(self.perform(operations.resume_restore, self.row.pk))

    @extend_schema(parameters=_PAGING, responses=shown.RestoreItemsSerializer, filters=False)
    @action(detail=True, methods=["get"])
    def items(self, request: Request, pk: str) -> Response:
        """What became of each entity, in the order in which they were chosen."""
        after, limit = self.window()
        rows = self.row.items.order_by("pk").defer("backup")
        if after:
            rows = rows.filter(pk__gt=rows.filter(entity_id=after).values("pk")[:1])
        found = list(rows[: limit + 1])
        body = {
            "total": self.row.items.count(),
            "items": found[:limit],
            "next_after": found[limit - 1].entity_id if len(found) > limit else None,
        }
        return Response(shown.RestoreItemsSerializer(body).data)


_NAMES = ("op", "path", "id", "delta")


def _number(text: str) -> float:
    """A number of the address. Raises Invalid."""
    try:
        return float(text)
    except ValueError as error:
        raise Invalid("`delta` is a number.", fields={"delta": ["Must be a number."]}) from error


def _filter(given: dict[str, Any]) -> Filter:
    """A filter of the address or the body. Raises DRF's ValidationError."""
    checked = taken.EntityFilterInput(data={name: value for name, value in given.items() if value != ""})
    checked.is_valid(raise_exception=True)
    found: dict[str, Any] = checked.validated_data
    delta = found.get("delta")
    if delta is not None and not math.isfinite(delta):
        raise Invalid("`delta` is a finite number.", fields={"delta": ["Must be finite."]})
    return Filter(op=found.get("op", ""), path=found.get("path", ""), id=found.get("id", ""), delta=delta)
