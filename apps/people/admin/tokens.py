"""Bearer tokens: made here, shown once, revoked here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from apps.people import operations
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin
from apps.people.models import ApiToken, User
from apps.people.queries import SCOPES, visible_tokens


class NewTokenForm(BaseDialogForm):
    """Whose token, for what, until when."""

    account = forms.ModelChoiceField(queryset=User.objects.none(), empty_label=None, widget=UnfoldAdminSelectWidget)
    name = forms.CharField(max_length=120, widget=UnfoldAdminTextInputWidget, help_text="what it is for")
    scopes = forms.MultipleChoiceField(
        choices=[(scope, "everything" if scope == "*" else scope) for scope in sorted(SCOPES)],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="writing includes reading",
    )
    expires_at = forms.DateTimeField(
        required=False, widget=UnfoldAdminSingleDateWidget, label="Expires on", help_text="empty: never"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.request.user
        accounts = User.objects.filter(Q(pk=user.pk) | Q(owner_id=user.pk, kind=User.Kind.SERVICE, is_active=True))
        self.fields["account"].queryset = accounts
        self.fields["account"].initial = user.pk


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """One's own tokens and those of one's service accounts."""

    list_display = ("name", "user", "prefix", "scope_list", "created_at", "expires_at", "revoked_at", "last_used_at")
    search_fields = ("name", "prefix", "user__username")
    list_select_related = ("user",)
    readonly: ClassVar[Sequence[str]] = ()
    fields = ("name", "user", "prefix", "scope_list", "created_at", "expires_at", "revoked_at", "last_used_at")
    readonly_fields = fields
    actions_list = ("new",)
    actions_detail = ("revoke",)

    @admin.display(description="scopes")
    def scope_list(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_tokens(request.user).values("pk"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.is_authenticated

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        own = obj is None or (
            isinstance(obj, ApiToken)
            and request.user.pk is not None
            and request.user.pk in {obj.user_id, obj.user.owner_id}
        )
        return own or super().has_view_permission(request, obj)

    @action(
        description="New token",
        icon="add",
        dialog={
            "title": "New token",
            "description": "A program uses it to act as you, or as a service account of yours, within its scopes.",
            "form_class": NewTokenForm,
            "form_submit_text": "Create",
        },
    )
    def new(self, request: HttpRequest, form: NewTokenForm) -> HttpResponse:
        given = form.cleaned_data
        made = self.perform(
            request,
            operations.create_token,
            given["account"].pk,
            given["name"],
            given["scopes"],
            given["expires_at"],
        )
        if made is None:
            return self.go_to_list(request)
        token, text = made
        response = render(request, "people/token_made.html", {"token": token, "text": text})
        response["Cache-Control"] = "no-store"
        return response

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        token = self.get_object(request, str(object_id))
        if token is None or token.revoked_at is not None:
            return False
        own = request.user.pk in {token.user_id, token.user.owner_id}
        return own or request.user.has_perm("people.change_apitoken")

    @action(
        description="Revoke",
        icon="key_off",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
        dialog={"title": "Revoke this token?", "description": "Programs that use it are refused from now on."},
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.revoke_token, object_id, done="The token is revoked.")
