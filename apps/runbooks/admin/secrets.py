"""Secrets in the admin: names and notes. A value goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods

from apps.people.admin.base import PortalModelAdmin
from apps.runbooks import operations
from apps.runbooks.admin.authoring_forms import SecretForm
from apps.runbooks.models import Secret
from apps.runbooks.operations.keeping import runbooks_using


@admin.register(Secret)
class SecretAdmin(PortalModelAdmin):
    """The list; one secret with what uses it; a form that takes a value."""

    list_display = ("name", "note", "changed_at")
    search_fields = ("name", "note")
    ordering = ("name",)
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer("value_encrypted")

    def get_urls(self) -> list[URLPattern]:
        delete = self.admin_site.admin_view(self.forget_view)
        return [path("<int:object_id>/forget/", delete, name="runbooks_secret_forget"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A new secret."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return _secret_page(request, self, None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """One secret, and a form for its next value."""
        secret = self.get_object(request, object_id)
        if secret is None:
            raise Http404
        if not self.has_view_permission(request, secret):
            raise PermissionDenied
        return _secret_page(request, self, secret)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        raise Http404("A secret is forgotten by the button on its page.")

    def forget_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Forget it, unless an active runbook uses it."""
        secret = self.row(request, str(object_id))
        if not self.has_delete_permission(request, secret):
            raise PermissionDenied
        if request.method != "POST":
            return self.go_to_row(request, str(object_id))
        before = Secret.objects.filter(pk=secret.pk).exists()
        self.perform(request, operations.delete_secret, secret.pk, done=f"{secret.name} is forgotten.")
        gone = before and not Secret.objects.filter(pk=secret.pk).exists()
        return self.go_to_list(request) if gone else self.go_to_row(request, str(object_id))


@require_http_methods(["GET", "HEAD", "POST"])
def _secret_page(request: HttpRequest, page: SecretAdmin, secret: Secret | None) -> HttpResponse:
    may_set = page.has_change_permission(request, secret) if secret else True
    if request.method == "POST" and not may_set:
        raise PermissionDenied
    initial = {"note": secret.note} if secret else {}
    form = SecretForm(request.POST or None, known=secret is not None, initial=initial)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        name = secret.name if secret else given["name"]
        made = page.perform(
            request, operations.set_secret, name, given["value"], note=given["note"], done=f"{name} is set."
        )
        if made is not None:
            return page.go_to_row(request, str(made.pk))
    context = {
        **page.admin_site.each_context(request),
        "title": secret.name if secret else "Add a secret",
        "opts": page.model._meta,
        "secret": secret,
        "form": form,
        "may_set": may_set,
        "may_forget": secret is not None and page.has_delete_permission(request, secret),
        "users": runbooks_using(secret.name) if secret else [],
    }
    return TemplateResponse(request, "runbooks/authoring/secret.html", context)
