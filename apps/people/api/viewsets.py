"""The bases of API views: who acts, what they may see, one operation for each verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, TypeVar

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from rest_framework.exceptions import NotFound
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from apps.foundation.actor import Actor
from apps.people.api.etags import EtagMixin, EtagRetrieveMixin
from apps.people.api.idempotency import IdempotencyMixin
from apps.people.models import ApiToken
from apps.people.queries import actor_for_token, actor_for_user

R = TypeVar("R")


class PortalViewSet(IdempotencyMixin, EtagMixin, GenericViewSet[Any]):
    """The base of all viewsets. A verb is: `self.perform(operation, …, **self.inputs(Serializer))`, `self.answer(row)`.

    `scope_area` is the area of token scopes; `action_permissions` names the permission of an action where it
    is not the model's usual one; `row_grants` honours grants for single rows; `visible` hides rows.
    """

    scope_area: ClassVar[str | None] = None
    action_permissions: ClassVar[dict[str, str | list[str] | None]] = {}
    row_grants: ClassVar[bool] = False
    ordering: ClassVar[str | tuple[str, ...]] = "-id"
    # Names in the address are numbers; anything else is no route of ours, hence 404.
    lookup_value_regex = "[0-9]{1,18}"

    @property
    def actor(self) -> Actor:
        """The one on whose behalf this request runs operations."""
        token = self.request.auth
        if isinstance(token, ApiToken):
            return actor_for_token(token)
        return actor_for_user(self.request.user, "api")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those rows of `queryset` that the caller may know of; all, unless overridden."""
        return queryset

    def get_queryset(self) -> QuerySet[Any]:
        return self.visible(super().get_queryset())

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        """The checked body of the request. Raises DRF's ValidationError, which becomes a 400 problem."""
        serializer = serializer_class(data=self.request.data, partial=partial, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        found: dict[str, Any] = serializer.validated_data
        return found

    def perform(self, verb: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Call ONE operation as the caller; its DomainError becomes a problem by itself."""
        return verb(*args, **kwargs, actor=self.actor)

    def answer(
        self, obj: Any, *, status: int = 200, serializer_class: type[BaseSerializer[Any]] | None = None
    ) -> Response:
        """The response that shows one row, with its `ETag` where this is the row that `retrieve` shows."""
        chosen = serializer_class or self.get_serializer_class()
        data = chosen(obj, context=self.get_serializer_context()).data
        headers = {} if serializer_class else {"ETag": self.representation_etag(obj)}
        return Response(data, status=status, headers=headers)


class PortalReadOnlyViewSet(ListModelMixin, EtagRetrieveMixin, PortalViewSet):
    """List and retrieve; add verbs with `@action` or `create`."""


class UnknownRoute(APIView):
    """Whatever under /api/ is no route: a JSON 404; a forgotten slash at the end is a redirect that keeps the body."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        path = request.path_info
        if not path.endswith("/") and self._is_a_route(f"{path}/"):
            query = request.META.get("QUERY_STRING", "")
            answer = HttpResponsePermanentRedirect(f"{request.path}/{'?' if query else ''}{query}")
            answer.status_code = 308
            return answer
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotFound("There is no such address in this API: see /api/docs/.")

    @staticmethod
    def _is_a_route(path: str) -> bool:
        try:
            found = resolve(path)
        except Resolver404:
            return False
        return getattr(found.func, "cls", None) is not UnknownRoute
