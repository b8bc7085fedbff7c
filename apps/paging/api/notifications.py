"""Notification rules over the API: one's own, a test page, and what came in one message."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.errors import Forbidden, NotFound
from apps.paging import operations
from apps.paging.bundles import visible_bundles
from apps.paging.models import NotificationPreference, PageBundle, PageTest
from apps.paging.operations.notifying import CHANGE, may_change_rules
from apps.paging.rules.document import (
    CHANNELS,
    LEAST_BUNDLE_SECONDS,
    LONGEST_DELAY_MINUTES,
    MOST_BUNDLE_SECONDS,
    MOST_QUIET,
    MOST_RULES,
    URGENCIES,
    WEEKDAYS,
    Wishes,
    wishes_of,
)
from apps.paging.rules.linting import Finding
from apps.paging.rules.queries import Planned, findings_of, plan_for, visible_people
from apps.paging.testing import Measured, last_test, measured
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.models import User

_WHOSE = "empty for somebody else's, without the permission people.view_contactpoint"
_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z"


class RuleSerializer(serializers.Serializer[Any]):
    """After so many minutes, one contact point, or every usable address of a channel."""

    after_minutes = serializers.IntegerField(min_value=0, max_value=LONGEST_DELAY_MINUTES)
    contact_point = serializers.IntegerField(min_value=1, required=False)
    channel = serializers.ChoiceField(choices=CHANNELS, required=False, help_text="inbox: low urgency only")


class QuietSerializer(serializers.Serializer[Any]):
    """From `from` on these weekdays until `to`, which is on the next day unless it is later; on the person's clocks."""

    days = serializers.ListField(child=serializers.ChoiceField(choices=WEEKDAYS), min_length=1, max_length=7)
    to = serializers.RegexField(_TIME)

    def get_fields(self) -> dict[str, Any]:
        # `from` is no name in Python.
        return {**super().get_fields(), "from": serializers.RegexField(_TIME)}


class PlannedSerializer(serializers.Serializer[Planned]):
    """A step of what happens when the person is paged, where no level limits the channels."""

    after_minutes = serializers.IntegerField()
    channel = serializers.CharField()
    contact_point = serializers.IntegerField(allow_null=True)
    address = serializers.CharField(help_text=_WHOSE)
    state = serializers.CharField()
    is_broken = serializers.BooleanField()


class FindingSerializer(serializers.Serializer[Finding]):
    """Something that is wrong; an `error` means that a page may reach nobody."""

    code = serializers.CharField()
    tone = serializers.ChoiceField(choices=("error", "warning"))
    text = serializers.CharField()
    urgency = serializers.CharField(help_text="empty: it is about the addresses")
    rule = serializers.IntegerField(help_text="counts from 1; 0 is no rule in particular")


class NotificationRulesSerializer(serializers.Serializer[User]):
    """How one person is notified. Empty lists are the default: every usable address at once."""

    user = serializers.IntegerField(source="pk", read_only=True)
    name = serializers.CharField(read_only=True)
    time_zone = serializers.CharField(read_only=True)
    high = serializers.SerializerMethodField()
    low = serializers.SerializerMethodField()
    quiet = serializers.SerializerMethodField()
    when_quiet = serializers.SerializerMethodField()
    bundle_seconds = serializers.SerializerMethodField()

    @staticmethod
    def _wishes(user: User) -> Wishes:
        return wishes_of(getattr(user, "notification_preference", None))

    @extend_schema_field(RuleSerializer(many=True))
    def get_high(self, user: User) -> Any:
        return [rule.as_json() for rule in self._wishes(user).high]

    @extend_schema_field(RuleSerializer(many=True))
    def get_low(self, user: User) -> Any:
        return [rule.as_json() for rule in self._wishes(user).low]

    @extend_schema_field(QuietSerializer(many=True))
    def get_quiet(self, user: User) -> Any:
        return [span.as_json() for span in self._wishes(user).quiet]

    @extend_schema_field(serializers.ChoiceField(choices=NotificationPreference.WhenQuiet.choices))
    def get_when_quiet(self, user: User) -> str:
        return self._wishes(user).when_quiet

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_bundle_seconds(self, user: User) -> int | None:
        return self._wishes(user).bundle_seconds


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Email at once, a text message after five minutes, quiet nights",
            value={
                "high": [
                    {"after_minutes": 0, "channel": "email"},
                    {"after_minutes": 5, "channel": "sms"},
                ],
                "quiet": [{"days": list(WEEKDAYS), "from": "22:00", "to": "07:00"}],
                "when_quiet": "wait",
            },
        )
    ]
)
class NotificationRulesInput(InputSerializer):
    """What is given is set; what is left out stays. An empty list of rules is the default."""

    high = serializers.ListField(child=RuleSerializer(), required=False, max_length=MOST_RULES)
    low = serializers.ListField(child=RuleSerializer(), required=False, max_length=MOST_RULES)
    quiet = serializers.ListField(child=QuietSerializer(), required=False, max_length=MOST_QUIET)
    when_quiet = serializers.ChoiceField(choices=NotificationPreference.WhenQuiet.choices, required=False)
    bundle_seconds = serializers.IntegerField(
        min_value=LEAST_BUNDLE_SECONDS,
        max_value=MOST_BUNDLE_SECONDS,
        required=False,
        allow_null=True,
        help_text="null: the portal's own PAGE_BUNDLE_SECONDS",
    )


class NoBody(InputSerializer):
    """No fields."""


class MeasuredSerializer(serializers.Serializer[Measured]):
    """One address of a test page. Seconds count from when its message was queued."""

    contact_point = serializers.IntegerField(source="contact_point_id", allow_null=True)
    channel = serializers.CharField()
    address = serializers.CharField(help_text=_WHOSE)
    after_minutes = serializers.IntegerField(help_text="when the rules would call it")
    state = serializers.CharField()
    error = serializers.CharField()
    queued_at = serializers.DateTimeField()
    accepted_seconds = serializers.FloatField(allow_null=True)
    confirmed_seconds = serializers.FloatField(allow_null=True, help_text="until the tap on its link")


class PageTestSerializer(serializers.Serializer[PageTest]):
    """A test page with its times."""

    id = serializers.IntegerField()
    user = serializers.IntegerField(source="user_id")
    asked_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    calls = serializers.SerializerMethodField()

    @extend_schema_field(MeasuredSerializer(many=True))
    def get_calls(self, test: PageTest) -> Any:
        return [MeasuredSerializer(each).data for each in measured(test, reader=self.context["request"].user)]


class NotificationRulesViewSet(PortalReadOnlyViewSet):
    """How people are notified, by the id of the account: oneself, others with a permission."""

    scope_area = "people"
    action_permissions = dict.fromkeys(
        ("list", "retrieve", "update", "destroy", "findings", "plan", "page_me_now", "last_test")
    )
    queryset = User.objects.all()
    serializer_class = NotificationRulesSerializer

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_people(self.request.user)

    def _changeable(self) -> User:
        """The person, if the caller may change their rules: refused before the body is read."""
        user: User = self.get_object()
        if not may_change_rules(self.actor, user.pk):
            raise Forbidden(
                f"{self.actor.name} may not change these rules: it needs the permission {CHANGE}.",
                extra={"permission": CHANGE},
            )
        return user

    @extend_schema(request=NotificationRulesInput, responses=NotificationRulesSerializer)
    def update(self, request: Request, pk: str) -> Response:
        """Set the rules that are given. They hold for pages that are made from now on."""
        self.expected_version(self._changeable())
        self.perform(operations.change_rules, int(pk), **self.inputs(NotificationRulesInput))
        return self.answer(self.get_object())

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Back to the default rules, without quiet hours."""
        self.expected_version(self._changeable())
        self.perform(operations.reset_rules, int(pk))
        return Response(status=204)

    @extend_schema(responses=FindingSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def findings(self, request: Request, pk: str) -> Response:
        """What is wrong with the rules: what can never fire, and what leaves the person unreachable."""
        user = self.get_object()
        return Response([FindingSerializer(each).data for each in findings_of([user.pk], reader=request.user)[user.pk]])

    @extend_schema(responses=PlannedSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None, url_path="plan/(?P<urgency>high|low)")
    def plan(self, request: Request, pk: str, urgency: str) -> Response:
        """Which addresses a page of this urgency goes to, and when. The inbox always gets it at once."""
        assert urgency in URGENCIES
        plan = plan_for(self.get_object(), reader=request.user)
        return Response([PlannedSerializer(each).data for each in plan[urgency]])

    @extend_schema(request=NoBody, responses={202: PageTestSerializer})
    @action(detail=True, methods=["post"], url_path="page-me-now")
    def page_me_now(self, request: Request, pk: str) -> Response:
        """Send a test page through the rules. At most one in half a minute and ten in an hour for a person."""
        self._changeable()
        self.inputs(NoBody)
        test = self.perform(operations.page_me_now, int(pk))
        return self.answer(test, status=202, serializer_class=PageTestSerializer)

    @extend_schema(responses=PageTestSerializer, filters=False)
    @action(detail=True, methods=["get"], url_path="last-test")
    def last_test(self, request: Request, pk: str) -> Response:
        """The newest test page with its times so far; 404 where there is none."""
        test = last_test(self.get_object().pk)
        if test is None:
            raise NotFound("This person was never tested.")
        return self.answer(test, serializer_class=PageTestSerializer)


class PageBundleSerializer(serializers.ModelSerializer[PageBundle]):
    """Pages of one person that were told in one message for each address."""

    user = serializers.IntegerField(source="user_id", read_only=True)
    pages = serializers.SerializerMethodField()

    class Meta:
        model = PageBundle
        fields = ("id", "user", "urgency", "reason", "due_at", "created_at", "pages")
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
    def get_pages(self, bundle: PageBundle) -> list[int]:
        return sorted(page.pk for page in bundle.pages.all())


class PageBundleViewSet(PortalReadOnlyViewSet):
    """What was told together: one's own, everybody's with a permission."""

    scope_area = "incidents"
    action_permissions = {"list": None, "retrieve": None, "acknowledge": None}
    queryset = PageBundle.objects.all()
    serializer_class = PageBundleSerializer
    filterset_fields = ("user", "reason", "urgency")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_bundles(self.request.user).prefetch_related("pages")

    @extend_schema(request=NoBody, responses=PageBundleSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str) -> Response:
        """Acknowledge all of it that is open. Only for the person who was told."""
        bundle = self.get_object()
        if bundle.user_id != self.actor.user_id:
            raise Forbidden("Only the person who was told acknowledges these pages together.")
        self.expected_version(bundle)
        self.inputs(NoBody)
        self.perform(operations.acknowledge_bundle, int(pk), via="api")
        return self.answer(self.get_object())
