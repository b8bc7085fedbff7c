"""Action items over the API: each verb calls one operation and answers with the item and its ETag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.foundation.clock import now
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import require
from apps.postmortems import operations
from apps.postmortems.api import inputs as taken
from apps.postmortems.api.serializers import ActionItemSerializer
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.permissions import WRITE, require_follow_item, require_plan_item
from apps.postmortems.queries import OPEN_ITEM, overdue_for_manager, visible_items

_NEEDS: dict[str, Callable[..., Any]] = {
    "partial_update": require_plan_item,
    "start": require_follow_item,
    "finish": require_follow_item,
    "drop": require_plan_item,
    "reopen": require_plan_item,
}


class ActionItemFilter(django_filters.FilterSet):
    """By state, people, priority, and what waits."""

    state = django_filters.ChoiceFilter(choices=ActionItem.State.choices)
    review = django_filters.NumberFilter(field_name="review_id", label="id of a review")
    incident = django_filters.NumberFilter(field_name="review__incident_id", label="id of an incident")
    owner = django_filters.NumberFilter(field_name="owner_id", label="id of who promised it")
    team = django_filters.NumberFilter(field_name="team_id", label="id of a team")
    priority = django_filters.CharFilter(lookup_expr="iexact")
    open = django_filters.BooleanFilter(method="only_open", label="true: still to do; false: finished")
    overdue = django_filters.BooleanFilter(method="late", label="true: still to do though its due date has passed")
    mine = django_filters.BooleanFilter(method="of_mine", label="true: what you promised")
    answered_by_me = django_filters.BooleanFilter(method="of_reports", label="true: overdue, and you answer for it")

    class Meta:
        model = ActionItem
        fields = ("state", "review", "owner", "team", "priority")

    def only_open(self, rows: QuerySet[ActionItem], name: str, value: bool) -> QuerySet[ActionItem]:
        return rows.filter(state__in=OPEN_ITEM) if value else rows.exclude(state__in=OPEN_ITEM)

    def late(self, rows: QuerySet[ActionItem], name: str, value: bool) -> QuerySet[ActionItem]:
        late = {"state__in": OPEN_ITEM, "due_at__lte": now()}
        return rows.filter(**late) if value else rows.exclude(**late)

    def of_mine(self, rows: QuerySet[ActionItem], name: str, value: bool) -> QuerySet[ActionItem]:
        mine = {"owner_id": self.request.user.pk}
        return rows.filter(**mine) if value else rows.exclude(**mine)

    def of_reports(self, rows: QuerySet[ActionItem], name: str, value: bool) -> QuerySet[ActionItem]:
        theirs = overdue_for_manager(self.request.user).order_by().values("pk")
        return rows.filter(pk__in=theirs) if value else rows.exclude(pk__in=theirs)


def _verb(request: Any) -> Callable[[Any], Any]:
    """A call on one action item that takes `request` and answers with the item."""

    def decorate(func: Any) -> Any:
        return extend_schema(request=request, responses=ActionItemSerializer)(func)

    return decorate


class ActionItemViewSet(PortalReadOnlyViewSet):
    """What was promised in reviews. Only items of incidents that the caller may see exist here."""

    scope_area = "reviews"
    # Owners of items and reviews may do what their groups may not, so `inputs` and the operations decide.
    action_permissions = dict.fromkeys(["list", "retrieve", "create", *_NEEDS])
    queryset = ActionItem.objects.select_related("review__incident", "review__owner", "owner", "team", "created_by")
    serializer_class = ActionItemSerializer
    filterset_class = ActionItemFilter

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_items(self.request.user).order_by().values("pk"))

    @cached_property
    def row(self) -> ActionItem:
        """The item in the address, as the caller sees it before the verb; 404 where it is hidden."""
        found: ActionItem = self.get_object()
        return found

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.detail:
            _NEEDS[self.action](self.actor, self.row)
        return super().inputs(serializer_class, partial=partial)

    def _run(self, verb: Callable[..., Any], **given: Any) -> Response:
        """One operation on the item in the address, under the caller's If-Match."""
        self.perform(verb, self.row.pk, **given, expected_version=self.expected_version(self.row))
        return self.answer(self.queryset.get(pk=self.row.pk))

    @extend_schema(request=taken.ItemInput, responses={201: ActionItemSerializer})
    def create(self, request: Request) -> Response:
        """Promise something in a review that is not closed."""
        if not Review.objects.filter(owner_id=request.user.pk).exists():
            require(self.actor, WRITE)
        given = {"owner_id": None, **self.inputs(taken.ItemInput)}
        item = self.perform(operations.add_item, given.pop("review"), given.pop("title"), **given)
        return self.answer(self.queryset.get(pk=item.pk), status=201)

    @extend_schema(request=taken.ItemChangeInput(partial=True), responses=ActionItemSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; the rest stays. Another owner, team or due date starts the reminders anew."""
        return self._run(operations.edit_item, **self.inputs(taken.ItemChangeInput, partial=True))

    @_verb(taken.NothingInput)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Say that somebody works on it."""
        return self._run(operations.start_item, **self.inputs(taken.NothingInput))

    @_verb(taken.FinishInput)
    @action(detail=True, methods=["post"])
    def finish(self, request: Request, pk: str) -> Response:
        """Say that it is done, and what was done."""
        return self._run(operations.finish_item, **self.inputs(taken.FinishInput))

    @_verb(taken.DropInput)
    @action(detail=True, methods=["post"])
    def drop(self, request: Request, pk: str) -> Response:
        """Say that it will not be done, and why."""
        return self._run(operations.drop_item, **self.inputs(taken.DropInput))

    @_verb(taken.TakeUpInput)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, pk: str) -> Response:
        """Take a finished or dropped one up again."""
        return self._run(operations.reopen_item, **self.inputs(taken.TakeUpInput))
