"""Policy packs over the API: read, check, import, compare, activate."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import Exists, OuterRef
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_serializer
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.people.api.serializers import InputSerializer
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.policies import diffs, operations
from apps.policies.activation import outlook
from apps.policies.documents import MOST_CHARACTERS
from apps.policies.models import PolicyPack, PolicyVersion
from apps.policies.queries import summary_table, version_tables

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


class TextDiffSerializer(serializers.Serializer[Any]):
    """What a text would change against the active version of the pack that it names; null `against` for a new pack."""

    against = serializers.IntegerField(allow_null=True, help_text="the id of the active version")
    differences = DifferenceSerializer(many=True)
    unified = serializers.CharField(allow_blank=True)


class TableSerializer(serializers.Serializer[Any]):
    """A section, or the summary of all, as people read it."""

    section = serializers.CharField(allow_blank=True, help_text="empty for the summary")
    title = serializers.CharField()
    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.ListField(child=serializers.CharField()))
    note = serializers.CharField(allow_blank=True)


class FollowerSerializer(serializers.Serializer[Any]):
    """A team or a service whose new incidents follow the pack."""

    kind = serializers.ChoiceField(choices=["team", "service"])
    name = serializers.CharField()
    url = serializers.CharField()


class CautionSerializer(serializers.Serializer[Any]):
    """What would not work, in a sentence, and the page where it can be put right."""

    message = serializers.CharField()
    url = serializers.CharField(allow_blank=True)


class PinnedSerializer(serializers.Serializer[Any]):
    """How many open incidents keep a version."""

    number = serializers.IntegerField(help_text="of the version")
    open_incidents = serializers.IntegerField()


class OutlookSerializer(serializers.Serializer[Any]):
    """What activating a version means: who follows it, what they lack, and which open incidents keep which version."""

    followers = FollowerSerializer(many=True)
    cautions = CautionSerializer(many=True)
    pinned = PinnedSerializer(many=True)


class PackViewSet(PortalReadOnlyViewSet):
    """Policy packs: how a team handles incidents."""

    scope_area = "policies"
    action_permissions = {
        "check": "policies.add_policyversion",
        "bring": "policies.add_policyversion",
        "compare": "policies.add_policyversion",
    }
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

    @extend_schema(request=TextInput, responses=TextDiffSerializer, operation_id="policy_packs_diff")
    @action(detail=False, methods=["post"], url_path="diff")
    def compare(self, request: Request) -> Response:
        """What a text would change against its pack's active version. Stores nothing; a wrong text is a problem."""
        text = operations.normalized(self.inputs(TextInput)["text"])
        document = operations.checked_document(text)
        active = operations.active_of(document)
        return Response(
            {
                "against": active.pk if active else None,
                **_difference(active.document if active else {}, active.text if active else "", document, text),
            }
        )

    @extend_schema(request=ImportInput, responses={201: VersionDetailSerializer}, operation_id="policy_packs_import")
    @action(detail=False, methods=["post"], url_path="import")
    def bring(self, request: Request) -> Response:
        """Store a text as a new version of the pack that it names. The same text again returns its version.

        A text that is wrong is a problem with the code `invalid_pack`, and `problems` as in the check.
        """
        version = self.perform(operations.import_pack, **self.inputs(ImportInput))
        return self.answer(_versions().get(pk=version.pk), status=201, serializer_class=VersionDetailSerializer)


def _difference(before: Any, old: str, after: Any, new: str, names: tuple[str, str] = ("active", "text")) -> Any:
    return {
        "differences": [each.as_json() for each in diffs.structural(before, after)],
        "unified": "\n".join(diffs.unified(old, new, names=names)),
    }


def _versions() -> Any:
    return PolicyVersion.objects.select_related("pack").annotate(
        active=Exists(PolicyPack.objects.filter(active_version=OuterRef("pk")))
    )


class VersionViewSet(PortalReadOnlyViewSet):
    """The immutable versions of policy packs."""

    scope_area = "policies"
    action_permissions = {
        "activate": "policies.change_policypack",
        "outlook": "policies.change_policypack",
        "diff": "policies.view_policyversion",
        "tables": "policies.view_policyversion",
    }
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
        found = _difference(other.document, other.text, version.document, version.text, names)
        return Response({"against": other.pk, **found})

    @extend_schema(responses=TableSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], pagination_class=None)
    def tables(self, request: Request, pk: str) -> Response:
        """The version as people read it: the summary by severity, then the tables of each section.

        An old text that no longer fits the rules of this release is a conflict with the code `outdated_pack`.
        """
        version = self.get_object()
        try:
            summary, sections = summary_table(version), version_tables(version)
        except ValidationError as error:
            raise Conflict(f"{version} does not fit the rules of this release.", code="outdated_pack") from error
        named = [("", summary)] if summary else []
        named += [(name, table) for name, tables in sections for table in tables]
        return Response([{"section": name, **asdict(table)} for name, table in named])

    @extend_schema(responses=OutlookSerializer)
    @action(detail=True, methods=["get"])
    def outlook(self, request: Request, pk: str) -> Response:
        """What activating this version means. Cautions never stop an activation."""
        found = outlook(self.get_object(), request.user)
        pinned = [{"number": number, "open_incidents": count} for number, count in found.pinned.items()]
        told = {"followers": [asdict(each) for each in found.followers], "pinned": pinned}
        return Response({**told, "cautions": [caution.as_json() for caution in found.cautions]})

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
