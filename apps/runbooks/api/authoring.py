"""Runbooks, their versions, dry runs and secrets over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.approvals.api.serializers import ApprovalSerializer
from apps.approvals.permissions import require_decision
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.runbooks import operations
from apps.runbooks.api import authoring_serializers as shown
from apps.runbooks.authorship import require_create_somewhere, require_edit
from apps.runbooks.documents import MOST_SHOWN, problems_of
from apps.runbooks.models import DryRun, Runbook, RunbookVersion, Secret
from apps.runbooks.permissions import require_look
from apps.runbooks.planning import make_dry_run
from apps.runbooks.queries import visible_dry_runs, visible_runbooks

_EDITS = ("partial_update", "versions", "retire")


def _with_active(rows: QuerySet[RunbookVersion]) -> QuerySet[RunbookVersion]:
    return rows.annotate(is_active=Exists(Runbook.objects.filter(active_version=OuterRef("pk"), state="active")))


class RunbookViewSet(PortalReadOnlyViewSet):
    """Prepared ways to do something about an incident. Leads write those of their team, managers all."""

    scope_area = "runbooks"
    action_permissions = dict.fromkeys(
        ["list", "retrieve", "create", "check", "versions", "partial_update", "retire", "dry_run"]
    )
    queryset = Runbook.objects.select_related("active_version").defer("active_version__text")
    serializer_class = shown.RunbookSerializer
    filterset_fields = ("slug", "state", "owner", "category")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = queryset.filter(pk__in=visible_runbooks(self.request.user).order_by().values("pk"))
        return rows.prefetch_related("services")

    @cached_property
    def row(self) -> Runbook:
        """The runbook in the address, as it was before the verb; 404 where the caller may not see it."""
        found: Runbook = self.get_object()
        return found

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.action in _EDITS:
            require_edit(self.actor, self.row)
        elif self.action == "dry_run":
            require_look(self.actor, self.row)
        elif self.action in {"create", "check"}:
            require_create_somewhere(self.actor)
        return super().inputs(serializer_class, partial=partial)

    def _once(
        self, handler: Callable[..., Response], key: str, request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        """A dry run asks the network, so it can't share a transaction with its answer; a repeat is one more look."""
        if self.action == "dry_run":
            return handler(request, *args, **kwargs)
        return super()._once(handler, key, request, *args, **kwargs)

    def _shown(self, pk: int, status: int = 200) -> Response:
        return self.answer(self.queryset.prefetch_related("services").get(pk=pk), status=status)

    @extend_schema(request=shown.RunbookInput, responses={201: shown.RunbookSerializer})
    def create(self, request: Request) -> Response:
        """Make a runbook; its text comes with its first version."""
        given = self.inputs(shown.RunbookInput)
        made = self.perform(operations.create_runbook, given.pop("slug"), given.pop("name"), **given)
        return self._shown(made.pk, status=201)

    @extend_schema(request=shown.RunbookEditInput, responses=shown.RunbookSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is said about a runbook. Its text changes by a new version."""
        given = self.inputs(shown.RunbookEditInput)
        version = self.expected_version(self.row)
        self.perform(operations.edit_runbook, self.row.pk, expected_version=version, **given)
        return self._shown(self.row.pk)

    @extend_schema(request=shown.RunbookTextInput, responses=shown.TextCheckSerializer, operation_id="runbooks_check")
    @action(detail=False, methods=["post"])
    def check(self, request: Request) -> Response:
        """Check a text completely without storing it. What is wrong comes with line, column, path and a sentence."""
        problems = problems_of(self.inputs(shown.RunbookTextInput)["text"])
        listed = [problem.as_json() for problem in problems[:MOST_SHOWN]]
        return Response({"valid": not problems, "problems": listed})

    @extend_schema(
        methods=["GET"], responses=shown.RunbookVersionSerializer(many=True), operation_id="runbooks_versions_list",
        filters=False,
    )  # fmt: skip
    @extend_schema(
        methods=["POST"], request=shown.RunbookVersionInput, responses={201: shown.RunbookVersionDetailSerializer}
    )
    @action(detail=True, methods=["get", "post"], filterset_fields=None)
    def versions(self, request: Request, pk: str) -> Response:
        """The versions of a runbook, newest first; or save a text as the next one.

        A text that is wrong is a problem with the code `invalid_runbook`, and `problems` as in the check. A text that
        a version has already is answered with that version.
        """
        rows = _with_active(RunbookVersion.objects.filter(runbook=self.row))
        if request.method != "POST":
            page = self.paginate_queryset(rows.defer("text", "content").order_by("-id"))
            return self.get_paginated_response(shown.RunbookVersionSerializer(page, many=True).data)
        given = self.inputs(shown.RunbookVersionInput)
        version = self.expected_version(self.row)
        made = self.perform(operations.save_version, self.row.pk, expected_version=version, **given)
        serializer = shown.RunbookVersionDetailSerializer
        return self.answer(rows.get(pk=made.pk), status=201, serializer_class=serializer)

    @extend_schema(request=shown.RetireInput, responses=shown.RunbookSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: str) -> Response:
        """Take a runbook out of use. A repeat changes nothing; activating a version brings it back."""
        given = self.inputs(shown.RetireInput)
        version = self.expected_version(self.row)
        self.perform(operations.retire, self.row.pk, expected_version=version, **given)
        return self._shown(self.row.pk)

    @extend_schema(request=shown.DryRunInput, responses={201: shown.DryRunDetailSerializer})
    @action(detail=True, methods=["post"], url_path="dry-run")
    def dry_run(self, request: Request, pk: str) -> Response:
        """Look at what it would do, without changing anything. Each call looks anew."""
        given = self.inputs(shown.DryRunInput)
        self.expected_version(self.row)
        made = self.perform(make_dry_run, self.row.pk, given.pop("parameters", {}), **given)
        return self.answer(made, status=201, serializer_class=shown.DryRunDetailSerializer)


class RunbookVersionViewSet(PortalReadOnlyViewSet):
    """The immutable versions of runbooks."""

    scope_area = "runbooks"
    action_permissions = {"list": None, "retrieve": None, "activate": None, "approve_ahead": None}
    queryset = _with_active(RunbookVersion.objects.all())
    serializer_class = shown.RunbookVersionDetailSerializer
    filterset_fields = ("runbook", "number", "checksum")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = queryset.filter(runbook__in=visible_runbooks(self.request.user).order_by().values("pk"))
        return rows.defer("text", "content") if self.action == "list" else rows

    def get_serializer_class(self) -> Any:
        return shown.RunbookVersionSerializer if self.action == "list" else shown.RunbookVersionDetailSerializer

    @extend_schema(request=shown.RunbookReasonInput, responses=shown.RunbookVersionDetailSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, pk: str) -> Response:
        """Let dry runs and executions follow this version from now on. A repeat changes nothing."""
        version: RunbookVersion = self.get_object()
        require_edit(self.actor, version.runbook)
        given = self.inputs(shown.RunbookReasonInput)
        self.expected_version(version)
        self.perform(operations.activate_version, version.pk, **given)
        return self.answer(self.get_object())

    @extend_schema(request=shown.ApproveAheadInput, responses={201: ApprovalSerializer})
    @action(detail=True, methods=["post"], url_path="approve-ahead")
    def approve_ahead(self, request: Request, pk: str) -> Response:
        """Let others execute exactly this version without an approval each time, until an instant.

        `GET /approvals/?kind=ahead` lists them; `withdraw` there takes one back.
        """
        version: RunbookVersion = self.get_object()
        require_decision(self.actor, version.runbook.owner_id)
        given = self.inputs(shown.ApproveAheadInput)
        self.expected_version(version)
        made = self.perform(operations.approve_version_ahead, version.pk, **given)
        return self.answer(made, status=201, serializer_class=ApprovalSerializer)


class DryRunViewSet(PortalReadOnlyViewSet):
    """What executions would do, as it was seen. Of incidents that the caller may not see, none is here."""

    scope_area = "runbooks"
    action_permissions = {"list": None, "retrieve": None}
    queryset = DryRun.objects.all()
    serializer_class = shown.DryRunDetailSerializer
    filterset_fields = ("runbook", "incident", "requested_by")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows = queryset.filter(pk__in=visible_dry_runs(self.request.user).order_by().values("pk"))
        return rows.defer("steps") if self.action == "list" else rows

    def get_serializer_class(self) -> Any:
        return shown.DryRunSerializer if self.action == "list" else shown.DryRunDetailSerializer


class SecretViewSet(PortalReadOnlyViewSet):
    """Secrets of runbooks, by name. A value is set and replaced, and never shown."""

    scope_area = "runbooks"
    action_permissions = {"create": ["runbooks.add_secret", "runbooks.change_secret"]}
    queryset = Secret.objects.defer("value_encrypted")
    serializer_class = shown.SecretSerializer
    filterset_fields = ("name",)

    @extend_schema(request=shown.SecretInput, responses={201: shown.SecretSerializer})
    def create(self, request: Request) -> Response:
        """Set a secret: a new one, or a new value for the name."""
        given = self.inputs(shown.SecretInput)
        made = self.perform(operations.set_secret, given.pop("name"), given.pop("value"), **given)
        return self.answer(made, status=201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Forget a secret that no active runbook uses."""
        row = self.get_object()
        self.expected_version(row)
        self.perform(operations.delete_secret, row.pk)
        return Response(status=204)
