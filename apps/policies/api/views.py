"""Policy packs over the API: read, check, import, compare, activate."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.errors import Invalid, NotFound
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.policies import diffs, operations
from apps.policies.documents import MOST_CHARACTERS
from apps.policies.models import PolicyPack, PolicyVersion

_EXAMPLE = "pack:\n  slug: my-team\n  name: My team\nseverities: …\n"


class PackSerializer(serializers.ModelSerializer[PolicyPack]):
    """A pack and which of its versions new incidents follow."""

    active_version = serializers.IntegerField(
        source="active_version_id", read_only=True, allow_null=True, help_text="the id of a policy version"
    )
    active_number = serializers.IntegerField(source="active_version.number", read_only=True, allow_null=True)

    class Meta:
        model = PolicyPack
        fields = ("id", "slug", "name", "description", "active_version", "active_number")
        read_only_fields = fields


class VersionSerializer(serializers.ModelSerializer[PolicyVersion]):
    """An immutable version, without its text."""

    pack = serializers.CharField(source="pack.slug", read_only=True)
    author = serializers.IntegerField(source="author_id", read_only=True, allow_null=True)
    active = serializers.BooleanField(read_only=True, help_text="new incidents of the pack follow it")

    class Meta:
        model = PolicyVersion
        fields = ("id", "pack", "number", "checksum", "note", "author", "created_at", "active")
        read_only_fields = fields


class VersionDetailSerializer(VersionSerializer):
    """The same with its YAML text and the parsed document."""

    document = serializers.DictField(read_only=True)

    class Meta:
        model = PolicyVersion
        fields = (*VersionSerializer.Meta.fields, "text", "document")
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("A text", value={"text": _EXAMPLE})])
class TextInput(InputSerializer):
    """A pack as YAML."""

    text = serializers.CharField(trim_whitespace=False, help_text=f"at most {MOST_CHARACTERS} characters")


@extend_schema_serializer(
    examples=[OpenApiExample("Import", value={"text": _EXAMPLE, "note": "P2 pages at once", "activate": False})]
)
class ImportInput(TextInput):
    """A pack as YAML, with what it changes."""

    note = serializers.CharField(max_length=operations.NOTE_LENGTH, required=False, allow_blank=True)
    activate = serializers.BooleanField(required=False, help_text="let new incidents follow it at once")
    reason = serializers.CharField(
        max_length=300, required=False, allow_blank=True, help_text="why it is activated; the note where empty"
    )


@extend_schema_serializer(examples=[OpenApiExample("Activate", value={"reason": "agreed in the review of May"})])
class ReasonInput(InputSerializer):
    """Why."""

    reason = serializers.CharField(max_length=300)


class PackProblemSerializer(serializers.Serializer[Any]):
    """One thing that is wrong, and where."""

    line = serializers.IntegerField(help_text="from 1; 0 for the text as a whole")
    column = serializers.IntegerField()
    path = serializers.CharField()
    message = serializers.CharField()


class ValidationSerializer(serializers.Serializer[Any]):
    """What a check found."""

    valid = serializers.BooleanField()
    problems = PackProblemSerializer(many=True)


class DifferenceSerializer(serializers.Serializer[Any]):
    """One place that differs; `before` and `after` are JSON texts."""

    path = serializers.CharField()
    change = serializers.ChoiceField(choices=["added", "removed", "changed"])
    before = serializers.CharField(allow_blank=True)
    after = serializers.CharField(allow_blank=True)


class DiffSerializer(serializers.Serializer[Any]):
    """What changed from the other version to this one."""

    against = serializers.IntegerField(help_text="the id of the other version")
    differences = DifferenceSerializer(many=True)
    unified = serializers.CharField(allow_blank=True)


class PackViewSet(PortalReadOnlyViewSet):
    """Policy packs: how a team handles incidents."""

    scope_area = "policies"
    action_permissions = {"check": "policies.add_policyversion", "bring": "policies.add_policyversion"}
    queryset = PolicyPack.objects.select_related("active_version").defer(
        "active_version__text", "active_version__document"
    )
    serializer_class = PackSerializer
    filterset_fields = ("slug",)

    @extend_schema(request=TextInput, responses=ValidationSerializer, operation_id="policy_packs_validate")
    @action(detail=False, methods=["post"], url_path="validate")
    def check(self, request: Request) -> Response:
        """Check a text completely without storing it. What is wrong comes with line, column, path and a sentence."""
        problems = operations.validate(self.inputs(TextInput)["text"])
        shown = [problem.as_json() for problem in problems[: operations.MOST_SHOWN]]
        return Response({"valid": not problems, "problems": shown})

    @extend_schema(request=ImportInput, responses={201: VersionDetailSerializer}, operation_id="policy_packs_import")
    @action(detail=False, methods=["post"], url_path="import")
    def bring(self, request: Request) -> Response:
        """Store a text as a new version of the pack that it names. The same text again returns its version.

        A text that is wrong is a problem with the code `invalid_pack`, and `problems` as in the check.
        """
        version = self.perform(operations.import_pack, **self.inputs(ImportInput))
        return self.answer(_versions().get(pk=version.pk), status=201, serializer_class=VersionDetailSerializer)


def _versions() -> Any:
    return PolicyVersion.objects.select_related("pack").annotate(
        active=Exists(PolicyPack.objects.filter(active_version=OuterRef("pk")))
    )


class VersionViewSet(PortalReadOnlyViewSet):
    """The immutable versions of policy packs."""

    scope_area = "policies"
    action_permissions = {"activate": "policies.change_policypack", "diff": "policies.view_policyversion"}
    queryset = PolicyVersion.objects.all()
    serializer_class = VersionDetailSerializer
    filterset_fields = ("pack__slug",)

    def get_queryset(self) -> Any:
        rows = _versions()
        return rows.defer("text", "document") if self.action == "list" else rows

    def get_serializer_class(self) -> Any:
        return VersionSerializer if self.action == "list" else VersionDetailSerializer

    @extend_schema(request=ReasonInput, responses=VersionDetailSerializer)
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, pk: str) -> Response:
        """Let new incidents of the pack follow this version. Open ones keep theirs; a repeat changes nothing."""
        self.expected_version(self.get_object())
        given = self.inputs(ReasonInput)
        self.perform(operations.activate, int(pk), reason=given["reason"])
        return self.answer(self.get_object())

    @extend_schema(
        responses=DiffSerializer,
        parameters=[OpenApiParameter("against", int, description="a version's id; without it, the active one's")],
    )
    @action(detail=True, methods=["get"])
    def diff(self, request: Request, pk: str) -> Response:
        """What this version changes against another one of any pack."""
        version = self.get_object()
        other = self._other(version, request.query_params.get("against", ""))
        names = (str(other), str(version))
        return Response(
            {
                "against": other.pk,
                "differences": [d.as_json() for d in diffs.structural(other.document, version.document)],
                "unified": "\n".join(diffs.unified(other.text, version.text, names=names)),
            }
        )

    def _other(self, version: PolicyVersion, named: str) -> PolicyVersion:
        if not named:
            if version.pack.active_version is None:
                raise NotFound("This pack has no active version; name one with `against`.")
            return version.pack.active_version
        if not (named.isascii() and named.isdecimal() and len(named) <= 18):  # noqa: PLR2004  # fits a bigint
            raise Invalid("`against` must be a version's id.", fields={"against": ["Must be a whole number."]})
        found = PolicyVersion.objects.select_related("pack").filter(pk=int(named)).first()
        if found is None:
            raise NotFound("There is no such version to compare with.")
        return found
