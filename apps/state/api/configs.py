"""Config documents over the API: read, compare, capture, edit, vouch, restore."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.people.api.idempotency import HEADER
from apps.people.api.problems import MEDIA_TYPE
from apps.people.api.serializers import ProblemSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.state import operations
from apps.state.api import inputs as taken
from apps.state.api.serializers import (
    ConfigDetailSerializer,
    ConfigSerializer,
    ConfigVersionSerializer,
    LiveDiffSerializer,
    RestoredSerializer,
)
from apps.state.diffs import structural_diff
from apps.state.live import Canary, LiveUnreachable, read_live
from apps.state.models import ConfigDocument, ConfigVersion, SourceState
from apps.state.permissions import ADD, APPLY, CHANGE, SET_BASELINE, VIEW, require_may, require_may_somewhere
from apps.state.queries import target_problems, visible_documents, visible_versions

# What a verb on one document needs. The operation checks it again; here it comes before the body is looked at.
_NEEDS = {
    "partial_update": CHANGE,
    "edit": APPLY,
    "capture": APPLY,
    "set_baseline": SET_BASELINE,
    "restore": APPLY,
}
_BY_NETWORK = {"edit", "capture", "restore"}
_DOWN: dict[Any, Any] = {(502, MEDIA_TYPE): ProblemSerializer}
_SIDES = ("live", "head", "baseline")


def _side(name: str, default: str) -> OpenApiParameter:
    text = f"`live` (asks the source), `head`, `baseline`, or a version's id; `{default}` unless given"
    return OpenApiParameter(name, OpenApiTypes.STR, description=text)


@dataclass(frozen=True, slots=True)
class _State:
    """One side of a comparison: `version` where it is a stored one, `problem` where the source could not be read."""

    checksum: str
    content: Any
    version: ConfigVersion | None = None
    problem: str = ""
    canary: Canary | None = None


class ConfigViewSet(PortalReadOnlyViewSet):
    """JSON documents that running systems obey. Contents are shown with their secrets masked."""

    scope_area = "configs"
    action_permissions = {"list": VIEW, "retrieve": VIEW, "diff": VIEW, "create": None, **dict.fromkeys(_NEEDS)}
    queryset = ConfigDocument.objects.select_related("service", "head", "baseline")
    serializer_class = ConfigDetailSerializer
    filterset_fields = ("slug", "service", "environment")

    def get_serializer_class(self) -> Any:
        return ConfigSerializer if self.action == "list" else ConfigDetailSerializer

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = queryset.filter(pk__in=visible_documents(self.request.user).values("pk"))
        return rows.defer("head__content", "baseline__content", "schema") if self.action == "list" else rows

    @cached_property
    def row(self) -> ConfigDocument:
        """The document in the address, as it was before the verb; 404 where the caller may not know of it."""
        found: ConfigDocument = self.get_object()
        return found

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.action in _NEEDS:
            require_may(self.actor, self.row, _NEEDS[self.action])
        return super().inputs(serializer_class, partial=partial)

    def _once(
        self, handler: Callable[..., Response], key: str, request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        """What asks a source can't stand in one transaction with the stored answer: its operation takes the key."""
        if self.action in _BY_NETWORK and not self.row.is_held_here:
            return handler(request, *args, **kwargs)
        return super()._once(handler, key, request, *args, **kwargs)

    def _effect_key(self) -> str:
        given = self.request.headers.get(HEADER)
        return f"api:{self.request.user.pk}:{given}" if given else f"api:{uuid.uuid4().hex}"

    def _revision(self) -> int | None:
        """The revision that `If-Match` speaks of, if the request has one."""
        self.expected_version(self.row)
        return self.row.revision if self.request.headers.get("If-Match", "*").strip() != "*" else None

    def _after(self) -> Response:
        return self.answer(self.queryset.get(pk=self.row.pk))

    @extend_schema(request=taken.ConfigInput, responses={201: ConfigDetailSerializer})
    def create(self, request: Request) -> Response:
        """Make a document; the lead of the team that owns the service may, too."""
        require_may_somewhere(self.actor, ADD)
        made = self.perform(operations.create_document, **self.inputs(taken.ConfigInput))
        return self.answer(self.queryset.get(pk=made.pk), status=201)

    @extend_schema(request=taken.ConfigFieldsInput, responses=ConfigDetailSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is said about a document, never its content."""
        given = self.inputs(taken.ConfigFieldsInput)
        self.perform(operations.edit_document, self.row.pk, expected_revision=self._revision(), **given)
        return self._after()

    @extend_schema(request=taken.EditConfigInput, responses={200: ConfigDetailSerializer, **_DOWN})
    @action(detail=True, methods=["post"])
    def edit(self, request: Request, pk: str) -> Response:
        """Make a whole new content live, if the document still has the revision that it was made from."""
        given = self.inputs(taken.EditConfigInput)
        revision = self._revision() or given.pop("expected_revision", None)
        given.pop("expected_revision", None)
        if revision is None:
            sentence = "Say which revision you change: here, or with the `ETag` as `If-Match`."
            raise Invalid(sentence, fields={"expected_revision": [sentence]})
        key = self._effect_key() if HEADER in request.headers else ""
        self.perform(operations.edit_config, self.row.pk, expected_revision=revision, effect_key=key, **given)
        return self._after()

    @extend_schema(request=taken.ConfigNothingInput, responses={200: ConfigVersionSerializer, **_DOWN})
    @action(detail=True, methods=["post"])
    def capture(self, request: Request, pk: str) -> Response:
        """Read what is live now. A state that is known already is answered as it is."""
        self.inputs(taken.ConfigNothingInput)
        self.expected_version(self.row)
        found = self.perform(operations.capture, self.row.pk)
        return self.answer(found, serializer_class=ConfigVersionSerializer)

    @extend_schema(request=taken.BaselineInput, responses=ConfigDetailSerializer)
    @action(detail=True, methods=["post"], url_path="set-baseline")
    def set_baseline(self, request: Request, pk: str) -> Response:
        """Say which version is known to be good. A repeat changes nothing."""
        given = self.inputs(taken.BaselineInput)
        self.perform(
            operations.set_baseline,
            self.row.pk,
            given["version"],
            expected_revision=self._revision(),
            reason=given["reason"],
        )
        return self._after()

    @extend_schema(request=taken.RestoreInput, responses={200: RestoredSerializer, **_DOWN})
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Put the baseline or another version back: backup, write, read back. The same `Idempotency-Key` acts once."""
        given = self.inputs(taken.RestoreInput)
        self.expected_version(self.row)
        done = self.perform(
            operations.restore,
            self.row.pk,
            version_id=given.get("version"),
            expected_checksum=given.get("expected_checksum"),
            effect_key=self._effect_key(),
            reason=given["reason"],
        )
        return self.answer(done, serializer_class=RestoredSerializer)

    @extend_schema(
        parameters=[_side("before", "live"), _side("after", "baseline")],
        responses={
            200: LiveDiffSerializer,
            (409, MEDIA_TYPE): ProblemSerializer,
            **_DOWN,
        },
        filters=False,
    )
    @action(detail=True, methods=["get"])
    def diff(self, request: Request, pk: str) -> Response:
        """What would change from one state to another; without parameters, what a restore of the baseline would.

        A source that can't be read is no error while something is known of it: the head stands for what is live, and
        `source_state` is `unreachable`.
        """
        before, after = self._state("before", "live"), self._state("after", "baseline")
        problem = before.problem or after.problem
        body = {
            "before_checksum": before.checksum,
            "after_checksum": after.checksum,
            "changes": structural_diff(before.content, after.content),
            "problems": target_problems(self.row, after.version) if after.version else [],
            "source_state": self._source_state(before, after),
            "source_problem": problem,
            "unreachable_since": self.row.unreachable_since if problem else None,
            "canary": self._canary(before, after),
        }
        return Response(LiveDiffSerializer(body).data)

    def _source_state(self, *sides: _State) -> SourceState:
        """What this request found where it asked the source, else what the last look found."""
        if any(side.problem for side in sides):
            return SourceState.UNREACHABLE
        asked = not self.row.is_held_here and any(side.version is None for side in sides)
        return SourceState.READ if asked else self.row.source_state

    def _canary(self, *sides: _State) -> dict[str, Any] | None:
        """The canary beside what is live, where that was asked for and one runs."""
        for side in sides:
            if side.canary is not None:
                changes = structural_diff(side.content, side.canary.content)
                return {"percentage": side.canary.percentage, "checksum": side.canary.checksum, "changes": changes}
        return None

    def _state(self, name: str, default: str) -> _State:
        given = self.request.query_params.get(name, default)
        if given == "live":
            return self._live
        version = self._version(given, name)
        return _State(version.checksum, version.content, version)

    @cached_property
    def _live(self) -> _State:
        """What is live; the head where the source can't be read. LiveUnreachable where there is none either."""
        try:
            live = read_live(self.row)
        except LiveUnreachable as error:
            head = self.row.head
            if head is None:
                raise
            return _State(head.checksum, head.content, None, error.message)
        return _State(live.checksum, live.content, canary=live.canary)

    def _version(self, given: str, name: str) -> ConfigVersion:
        if given in _SIDES:
            found = self.row.head if given == "head" else self.row.baseline
            if found is None:
                raise Conflict(f"{self.row.name} has no {given} yet.", code=f"no_{given}")
            return found
        if not (given.isascii() and given.isdecimal() and len(given) <= 18):  # noqa: PLR2004  # fits a bigint
            sentence = f"One of {', '.join(_SIDES)}, or a version's id."
            raise Invalid(f"`{name}`: {sentence}", fields={name: [sentence]})
        version = visible_versions(self.request.user).filter(pk=int(given), document=self.row).first()
        if version is None:
            raise NotFound("This document has no such version.")
        return version
