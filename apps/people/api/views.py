"""Accounts over the API: oneself, colleagues, contact points, tokens and service accounts."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.people import operations
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet, PortalViewSet
from apps.people.models import ApiToken, ContactPoint, User
from apps.people.queries import SCOPES, visible_contact_points, visible_tokens, visible_users


class UserSerializer(serializers.ModelSerializer[User]):
    """An account as colleagues see it."""

    name = serializers.CharField(read_only=True, help_text="as the portal calls it everywhere")
    manager = serializers.IntegerField(
        source="manager_id",
        read_only=True,
        allow_null=True,
        help_text="the account that hears of their overdue action items",
    )
    groups = serializers.SlugRelatedField("name", many=True, read_only=True)  # type: ignore[var-annotated]  # of the stubs

    class Meta:
        model = User
        fields: tuple[str, ...] = (
            "id",
            "username",
            "name",
            "kind",
            "email",
            "time_zone",
            "manager",
            "is_active",
            "groups",
        )
        read_only_fields = fields


@extend_schema_serializer(many=False)
class MeSerializer(UserSerializer):
    """The caller's own account, with what it may do."""

    permissions = serializers.SerializerMethodField()
    scopes = serializers.SerializerMethodField()

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "permissions", "scopes")
        read_only_fields = fields

    def get_permissions(self, user: User) -> list[str]:
        return sorted(user.get_all_permissions())

    def get_scopes(self, user: User) -> list[str]:
        token = self.context["request"].auth
        return sorted(token.scopes) if isinstance(token, ApiToken) else ["*"]


class ContactPointSerializer(serializers.ModelSerializer[ContactPoint]):
    """An address at which a person is paged."""

    user = serializers.IntegerField(source="user_id", read_only=True)

    class Meta:
        model = ContactPoint
        fields = (
            "id",
            "user",
            "kind",
            "address",
            "label",
            "position",
            "state",
            "verified_at",
            "confirmed_at",
            "reminded_at",
            "external_id",
            "broken_at",
            "broken_detail",
        )
        read_only_fields = fields


@extend_schema_serializer(
    examples=[OpenApiExample("Email", value={"kind": "email", "address": "jo@example.com", "label": "work"})]
)
class ContactPointInput(InputSerializer):
    """A new address; it belongs to the caller unless `user` says otherwise."""

    kind = serializers.ChoiceField(choices=ContactPoint.Kind.choices)
    address = serializers.CharField(
        max_length=2000,
        help_text="of a push: the browser's subscription as JSON. What is a secret is never shown again",
    )
    label = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields out of the class
        max_length=80, required=False, allow_blank=True
    )
    user = serializers.IntegerField(required=False, min_value=1, help_text="an account's id; needs a permission")


class CodeInput(InputSerializer):
    """The code that was sent to the address."""

    code = serializers.CharField(max_length=20)


class NothingInput(InputSerializer):
    """No fields."""


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A bearer token, without its text."""

    user = serializers.IntegerField(source="user_id", read_only=True)
    scopes = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = (
            "id",
            "user",
            "name",
            "prefix",
            "scopes",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
        )
        read_only_fields = fields


class NewTokenSerializer(TokenSerializer):
    """A token that was just made: the one time that its text is shown."""

    token = serializers.SerializerMethodField()

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")
        read_only_fields = fields

    def get_token(self, token: ApiToken) -> str:
        return str(self.context["token_text"])


@extend_schema_serializer(
    examples=[OpenApiExample("Deployments", value={"name": "deploy bot", "scopes": ["changes:write"]})]
)
class TokenInput(InputSerializer):
    """A new token of the caller's own account, or of a service account that the caller owns."""

    name = serializers.CharField(max_length=120)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=sorted(SCOPES)), min_length=1, max_length=20)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    user = serializers.IntegerField(required=False, min_value=1, help_text="a service account's id")


@extend_schema_serializer(examples=[OpenApiExample("Bot", value={"username": "deploy-bot", "groups": ["responder"]})])
class ServiceAccountInput(InputSerializer):
    """A new account for a program."""

    username = serializers.RegexField(r"^[\w.@+-]+\Z", max_length=150)
    display_name = serializers.CharField(max_length=120, required=False, allow_blank=True)
    groups = serializers.ListField(child=serializers.CharField(max_length=150), required=False, max_length=20)


class UserFilter(django_filters.FilterSet):
    """By kind, group or being active."""

    group = django_filters.CharFilter(field_name="groups__name", label="name of a group")

    class Meta:
        model = User
        fields = ("kind", "is_active", "group")


class MeViewSet(PortalViewSet):
    """The account behind the session or token of this very request."""

    scope_area = None
    serializer_class = MeSerializer
    pagination_class = None
    filter_backends = ()

    @extend_schema(responses=MeSerializer, operation_id="me_retrieve")
    def list(self, request: Request) -> Response:
        """Who am I, and what may I do?"""
        return Response(self.get_serializer(request.user).data)


class UserViewSet(PortalReadOnlyViewSet):
    """The people and programs of the portal. Without `people.view_user`, only oneself."""

    scope_area = "people"
    action_permissions = {"list": None, "retrieve": None}
    queryset = User.objects.prefetch_related("groups")
    serializer_class = UserSerializer
    filterset_class = UserFilter

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_users(self.request.user).values("pk"))


class ContactPointViewSet(PortalReadOnlyViewSet):
    """Addresses at which people are paged: one's own; everybody's with `people.view_contactpoint`."""

    scope_area = "people"
    action_permissions = dict.fromkeys(
        ("list", "retrieve", "create", "verify", "confirm", "send_code", "disable", "destroy")
    )
    queryset = ContactPoint.objects.all()
    serializer_class = ContactPointSerializer
    filterset_fields = ("user", "kind", "state")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_contact_points(self.request.user)

    @extend_schema(request=ContactPointInput, responses={201: ContactPointSerializer})
    def create(self, request: Request) -> Response:
        """Add an address. The same one again returns the one that is there."""
        given = self.inputs(ContactPointInput)
        user_id = given.pop("user", self.actor.user_id)
        return self.answer(self.perform(operations.add_contact_point, user_id, **given), status=201)

    @extend_schema(request=CodeInput, responses=ContactPointSerializer)
    @action(detail=True, methods=["post"])
    def verify(self, request: Request, pk: str) -> Response:
        """Prove with the code that was sent there that the address reaches its person."""
        self.expected_version(self.get_object())
        given = self.inputs(CodeInput)
        return self.answer(self.perform(operations.verify_contact_point, int(pk), code=given["code"]))

    @extend_schema(request=NothingInput, responses=ContactPointSerializer)
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, pk: str) -> Response:
        """Acknowledge that a verified address still reaches one."""
        self.inputs(NothingInput)
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.confirm_contact_point, int(pk)))

    @extend_schema(request=NothingInput, responses={202: ContactPointSerializer})
    @action(detail=True, methods=["post"], url_path="send-code")
    def send_code(self, request: Request, pk: str) -> Response:
        """Send the code there once more, which also tests the address."""
        self.inputs(NothingInput)
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.want_contact_code, int(pk)), status=202)

    @extend_schema(request=NothingInput, responses=ContactPointSerializer)
    @action(detail=True, methods=["post"])
    def disable(self, request: Request, pk: str) -> Response:
        """Stop paging at the address without forgetting it."""
        self.inputs(NothingInput)
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.disable_contact_point, int(pk)))

    def destroy(self, request: Request, pk: str) -> Response:
        """Forget the address."""
        self.expected_version(self.get_object())
        self.perform(operations.remove_contact_point, int(pk))
        return Response(status=204)


class TokenViewSet(PortalReadOnlyViewSet):
    """Bearer tokens: one's own and those of service accounts one owns."""

    scope_area = "people"
    action_permissions = dict.fromkeys(("list", "retrieve", "create", "revoke"))
    queryset = ApiToken.objects.all()
    serializer_class = TokenSerializer
    filterset_fields = ("user",)

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_tokens(self.request.user)

    @extend_schema(request=TokenInput, responses={201: NewTokenSerializer})
    def create(self, request: Request) -> Response:
        """Make a token. Its text is in this answer and nowhere else; its scopes are at most those of the caller's."""
        given = self.inputs(TokenInput)
        user_id = given.pop("user", self.actor.user_id)
        token, text = self.perform(operations.create_token, user_id, **given)
        data = NewTokenSerializer(token, context={**self.get_serializer_context(), "token_text": text}).data
        return Response(data, status=201)

    @extend_schema(request=NothingInput, responses=TokenSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Make the token useless from now on. A repeat changes nothing."""
        self.inputs(NothingInput)
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.revoke_token, int(pk)))


class ServiceAccountViewSet(PortalReadOnlyViewSet):
    """Accounts of programs. To make one needs `people.manage_service_accounts`."""

    scope_area = "people"
    action_permissions = {
        "list": None,
        "retrieve": None,
        "create": "people.manage_service_accounts",
        "deactivate": "people.manage_service_accounts",
    }
    queryset = User.objects.filter(kind=User.Kind.SERVICE).prefetch_related("groups")
    serializer_class = UserSerializer

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_users(self.request.user).values("pk"))

    @extend_schema(request=ServiceAccountInput, responses={201: UserSerializer})
    def create(self, request: Request) -> Response:
        """Make an account for a program, owned by the caller. Its groups hold at most what the caller may do."""
        return self.answer(
            self.perform(operations.create_service_account, **self.inputs(ServiceAccountInput)), status=201
        )

    @extend_schema(request=NothingInput, responses=UserSerializer)
    @action(detail=True, methods=["post"])
    def deactivate(self, request: Request, pk: str) -> Response:
        """Close the account; its tokens stop at once. A repeat changes nothing."""
        self.inputs(NothingInput)
        self.expected_version(self.get_object())
        return self.answer(self.perform(operations.deactivate_service_account, int(pk)))
