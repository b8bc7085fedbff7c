"""People, service accounts, and which groups they are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, BaseDialogForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from apps.foundation.errors import Invalid
from apps.people import operations
from apps.people.admin.base import PortalModelAdmin, ReadOnlyInline, request_actor
from apps.people.groups import GROUP_PERMISSIONS
from apps.people.models import ContactPoint, User
from apps.people.queries import visible_users
from apps.people.zones import check_time_zone

ONLY_SUPERUSERS_GIVE = ("groups", "is_superuser", "is_active")


class PersonCreationForm(UserCreationForm):
    """A new person; the password is theirs to change."""

    class Meta:
        model = User
        fields = ("username", "email")


class AccountForm(UserChangeForm):
    """An account; its manager is somebody else, and its time zone one that exists."""

    def clean_manager(self) -> User | None:
        manager: User | None = self.cleaned_data["manager"]
        if manager is not None and manager.pk == self.instance.pk:
            raise forms.ValidationError("Nobody is their own manager.")
        return manager

    def clean_time_zone(self) -> str:
        zone: str = self.cleaned_data["time_zone"].strip()
        try:
            check_time_zone(zone)
        except Invalid as error:
            raise forms.ValidationError(error.message) from error
        return zone


class ContactPointInline(ReadOnlyInline):
    """Where this person is paged; edited on the page of contact points."""

    model = ContactPoint
    fields = ("kind", "address", "label", "position", "state", "verified_at")
    readonly_fields = fields
    tab = True

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        own = obj is not None and obj.pk == request.user.pk
        return own or request.user.has_perm("people.view_contactpoint")


class ServiceAccountForm(BaseDialogForm):
    """What a service account needs."""

    username = forms.CharField(max_length=150, widget=UnfoldAdminTextInputWidget)
    display_name = forms.CharField(max_length=120, required=False, widget=UnfoldAdminTextInputWidget)
    groups = forms.MultipleChoiceField(
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        choices=lambda: [(name, name) for name in GROUP_PERMISSIONS],
    )


@admin.register(User)
class UserAdmin(DjangoUserAdmin, PortalModelAdmin):  # type: ignore[type-arg,misc]  # generic only in the stubs
    """Everybody sees who is who; superusers make accounts and give groups."""

    form = AccountForm
    add_form = PersonCreationForm
    change_password_form = AdminPasswordChangeForm
    ask_reason = True
    list_display = ("name", "username", "email", "kind", "group_names", "is_active")
    list_filter = ("kind", "groups", "is_active")
    search_fields = ("username", "display_name", "first_name", "last_name", "email")
    ordering = ("username",)
    filter_horizontal = ("groups",)
    autocomplete_fields = ("manager",)
    readonly: ClassVar[Sequence[str]] = ("kind", "is_staff", "owner", "last_login", "date_joined")
    inlines = (ContactPointInline,)
    actions_list = ("new_service_account",)
    actions_detail = ("close_account",)
    add_fieldsets = ((None, {"fields": ("username", "email", "usable_password", "password1", "password2")}),)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "username",
                    "display_name",
                    "first_name",
                    "last_name",
                    "email",
                    "time_zone",
                    "manager",
                    "password",
                )
            },
        ),
        ("What they may do", {"fields": ("groups", "is_active", "is_superuser", "is_staff")}),
        ("Account", {"fields": ("kind", "owner", "last_login", "date_joined")}),
    )

    @admin.display(description="name", ordering="display_name")
    def name(self, user: User) -> str:
        return user.name

    @admin.display(description="groups")
    def group_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "–"

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(pk__in=visible_users(request.user).values("pk")).prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        sections = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return sections
        # Whoever only looks gets no part of a password's hash.
        return [
            (title, {**options, "fields": [field for field in options["fields"] if field != "password"]})
            for title, options in sections
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        found = super().get_readonly_fields(request, obj)
        return [*found] if request.user.is_superuser else [*found, *ONLY_SUPERUSERS_GIVE]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if not super().has_change_permission(request, obj):
            return False
        if not isinstance(obj, User):
            return True
        return obj.kind != User.Kind.PORTAL and (request.user.is_superuser or not obj.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # An account signs history: it is closed, never deleted.
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data and obj.kind == User.Kind.PERSON:
            operations.publish_standing(obj, actor=request_actor(request))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if request.user.is_superuser and form.instance.kind != User.Kind.PORTAL:
            names = list(form.instance.groups.values_list("name", flat=True))
            operations.set_groups(form.instance.pk, names, actor=request_actor(request))

    def has_new_service_account_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("people.manage_service_accounts")

    @action(
        description="New service account",
        icon="smart_toy",
        permissions=["new_service_account"],
        dialog={
            "title": "New service account",
            "description": "An account for a program. You own it and make its tokens.",
            "form_class": ServiceAccountForm,
            "form_submit_text": "Create",
        },
    )
    def new_service_account(self, request: HttpRequest, form: ServiceAccountForm) -> HttpResponse:
        data = form.cleaned_data
        made = self.perform(
            request,
            operations.create_service_account,
            data["username"],
            display_name=data["display_name"],
            groups=data["groups"],
            done="The service account is there; now make a token for it.",
        )
        return self.go_to_list(request) if made is None else self.go_to_row(request, str(made.pk))

    def has_close_account_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        account = self.get_object(request, str(object_id))
        if account is None or account.kind != User.Kind.SERVICE or not account.is_active:
            return False
        own = account.owner_id == request.user.pk and request.user.has_perm("people.manage_service_accounts")
        return own or request.user.has_perm("people.change_user")

    @action(
        description="Close service account",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["close_account"],
        dialog={"title": "Close this service account?", "description": "Its tokens stop working at once."},
    )
    def close_account(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self.press(request, operations.deactivate_service_account, object_id, done="The account is closed.")
