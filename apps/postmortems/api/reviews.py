"""Reviews over the API: each verb calls one operation and answers with the review and its ETag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import Prefetch, QuerySet
from django.http import HttpResponse
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.postmortems import operations
from apps.postmortems.api import inputs as taken
from apps.postmortems.api.serializers import ComputedSerializer, ReviewDetailSerializer, ReviewSerializer
from apps.postmortems.export import filename, markdown
from apps.postmortems.figures import computed
from apps.postmortems.models import Review, Section
from apps.postmortems.permissions import WRITE, require_review, require_write
from apps.postmortems.queries import reviews_awaiting, visible_reviews

# What a verb needs. The operation checks it again under its lock; here it comes before the body is looked at.
_NEEDS: dict[str, Callable[..., Any]] = {
    "people": require_write,
    "submit": require_write,
    "send_back": require_review,
    "mark_reviewed": require_review,
    "close": lambda actor, review: require_review(actor, review, own=True),
    "reopen": lambda actor, review: require_review(actor, review, own=True),
}


class ReviewFilter(django_filters.FilterSet):
    """By state, incident, people, and what waits."""

    state = django_filters.ChoiceFilter(choices=Review.State.choices)
    incident = django_filters.NumberFilter(field_name="incident_id", label="id of an incident")
    owner = django_filters.NumberFilter(field_name="owner_id", label="id of who writes it")
    reviewer = django_filters.NumberFilter(field_name="reviewer_id", label="id of who is asked to review it")
    awaiting_me = django_filters.BooleanFilter(method="of_mine", label="true: what you could review now")
    overdue = django_filters.BooleanFilter(method="late", label="true: drafts whose due date has passed")

    class Meta:
        model = Review
        fields = ("state", "incident", "owner", "reviewer")

    def of_mine(self, rows: QuerySet[Review], name: str, value: bool) -> QuerySet[Review]:
        mine = reviews_awaiting(self.request.user).order_by().values("pk")
        return rows.filter(pk__in=mine) if value else rows.exclude(pk__in=mine)

    def late(self, rows: QuerySet[Review], name: str, value: bool) -> QuerySet[Review]:
        late = {"state": Review.State.DRAFT, "due_at__lte": now()}
        return rows.filter(**late) if value else rows.exclude(**late)


class MarkdownRenderer(BaseRenderer):
    """Says that Markdown can be asked for; what it renders itself are problems, which stay JSON."""

    media_type = "text/markdown"
    format = "md"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        rendered: bytes = JSONRenderer().render(data)
        return rendered


def _verb(request: Any) -> Callable[[Any], Any]:
    """A POST on one review that takes `request` and answers with the review."""

    def decorate(func: Any) -> Any:
        return extend_schema(request=request, responses=ReviewDetailSerializer)(func)

    return decorate


class ReviewViewSet(PortalReadOnlyViewSet):
    """Postmortems. Only those of incidents that the caller may see exist here."""

    scope_area = "reviews"
    # Whoever owns a review may do what their groups may not, so `inputs` and the operations decide.
    action_permissions = {**dict.fromkeys(["list", "retrieve", "computed", "export", *_NEEDS]), "create": WRITE}
    queryset = Review.objects.select_related("incident", "owner", "reviewer", "reviewed_by", "submitted_by")
    serializer_class = ReviewDetailSerializer
    filterset_class = ReviewFilter

    def get_serializer_class(self) -> Any:
        return ReviewSerializer if self.action == "list" else ReviewDetailSerializer

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = queryset.filter(pk__in=visible_reviews(self.request.user).order_by().values("pk"))
        return rows if self.action == "list" else self._with_sections(rows)

    @staticmethod
    def _with_sections(rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.prefetch_related(Prefetch("sections", Section.objects.select_related("edited_by")))

    @cached_property
    def row(self) -> Review:
        """The review in the address, as the caller sees it before the verb; 404 where it is hidden."""
        found: Review = self.get_object()
        return found

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.detail:
            _NEEDS[self.action](self.actor, self.row)
        return super().inputs(serializer_class, partial=partial)

    def _shown(self, pk: int, *, status: int = 200) -> Response:
        return self.answer(self._with_sections(self.queryset.all()).get(pk=pk), status=status)

    def _run(self, verb: Callable[..., Any], **given: Any) -> Response:
        """One operation on the review in the address, under the caller's If-Match."""
        self.perform(verb, self.row.pk, **given, expected_version=self.expected_version(self.row))
        return self._shown(self.row.pk)

    @extend_schema(request=taken.OpenInput, responses={201: ReviewDetailSerializer})
    def create(self, request: Request) -> Response:
        """Open the review of a resolved incident; the one that is there already is returned."""
        review = self.perform(operations.open_review, self.inputs(taken.OpenInput)["incident"])
        return self._shown(review.pk, status=201)

    @_verb(taken.PeopleInput)
    @action(detail=True, methods=["post"])
    def people(self, request: Request, pk: str) -> Response:
        """Say who writes it, and who is asked to review it."""
        return self._run(operations.set_people, **self.inputs(taken.PeopleInput))

    @_verb(taken.NothingInput)
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, pk: str) -> Response:
        """Hand a draft in for review. 409 names required sections that are still empty."""
        return self._run(operations.submit, **self.inputs(taken.NothingInput))

    @_verb(taken.WhyInput)
    @action(detail=True, methods=["post"], url_path="send-back")
    def send_back(self, request: Request, pk: str) -> Response:
        """Give it back to its owner, with a reason."""
        return self._run(operations.send_back, **self.inputs(taken.WhyInput))

    @_verb(taken.NothingInput)
    @action(detail=True, methods=["post"], url_path="mark-reviewed")
    def mark_reviewed(self, request: Request, pk: str) -> Response:
        """Accept it: texts are locked and computed parts frozen. Nobody reviews what they own or submitted."""
        return self._run(operations.mark_reviewed, **self.inputs(taken.NothingInput))

    @_verb(taken.NothingInput)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: str) -> Response:
        """End it; action items are followed on."""
        return self._run(operations.close, **self.inputs(taken.NothingInput))

    @_verb(taken.WhyInput)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: str) -> Response:
        """Make a reviewed or closed one a draft again."""
        return self._run(operations.reopen_review, **self.inputs(taken.WhyInput))

    @extend_schema(responses=ComputedSerializer, filters=False)
    @action(detail=True, methods=["get"], filterset_class=None)
    def computed(self, request: Request, pk: str) -> Response:
        """What the portal fills in: figures, timeline, people, and what was done."""
        return Response(ComputedSerializer(computed(self.row)).data)

    @extend_schema(
        filters=False,
        parameters=[
            OpenApiParameter("anonymised", OpenApiTypes.BOOL, description="true: roles and pseudonyms for names"),
        ],
        responses={(200, "text/markdown"): OpenApiResponse(OpenApiTypes.STR, description="the review as Markdown")},
    )
    @action(detail=True, methods=["get"], filterset_class=None, renderer_classes=[MarkdownRenderer, JSONRenderer])
    def export(self, request: Request, pk: str) -> HttpResponse:
        """The whole review as Markdown, to keep or to share."""
        given = request.query_params.get("anonymised", "false")
        if given not in {"true", "false"}:
            raise Invalid("`anonymised` must be true or false.", fields={"anonymised": ["Must be true or false."]})
        anonymised = given == "true"
        name = filename(self.row, anonymised=anonymised)
        # Text whatever was asked for: there is only one form of it, which no renderer may wrap.
        return HttpResponse(
            markdown(self.row, anonymised=anonymised),
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
            content_type="text/markdown; charset=utf-8",
        )
