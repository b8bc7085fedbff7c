"""The base of inputs: JSON types as written, and no unknown fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

_LISTS = (serializers.MultipleChoiceField, serializers.ManyRelatedField, serializers.ListField)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


# The first that fits a field counts.
_SCALARS: tuple[tuple[tuple[type[Any], ...], Callable[[Any], bool], str], ...] = (
    ((serializers.BooleanField,), lambda value: isinstance(value, bool), "Must be true or false."),
    ((serializers.IntegerField, serializers.PrimaryKeyRelatedField), _is_whole, "Must be a whole number."),
    ((serializers.FloatField,), _is_number, "Must be a number."),
    (
        (
            serializers.CharField,
            serializers.DateTimeField,
            serializers.DateField,
            serializers.TimeField,
            serializers.ChoiceField,
            serializers.UUIDField,
            serializers.SlugRelatedField,
        ),
        _is_text,
        "Must be text.",
    ),
)


def _type_fault(field: Any, value: Any) -> str:
    """What is wrong with the JSON type of `value`, or nothing; DRF itself would take 1 for "1" and "t" for true."""
    if value is None:
        return ""
    if isinstance(field, _LISTS):
        child = getattr(field, "child", None) or getattr(field, "child_relation", None)
        faults = [_type_fault(child, entry) for entry in value] if isinstance(value, list) else ["Must be a list."]
        return next(filter(None, faults), "")
    if isinstance(field, serializers.DictField) and isinstance(value, dict):
        return next(filter(None, (_type_fault(field.child, entry) for entry in value.values())), "")
    for classes, fits, sentence in _SCALARS:
        if isinstance(field, classes):
            return "" if fits(value) else sentence
    return ""


class InputSerializer(serializers.Serializer[Any]):
    """What a verb takes. Unknown fields and wrong JSON types are refused, so that a typing error is never silent."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            faults: dict[str, Any] = {name: ["Unknown field."] for name in data if name not in self.fields}
            for name, field in self.fields.items():
                if name in data and (fault := _type_fault(field, data[name])):
                    faults[name] = [fault]
            if faults:
                raise serializers.ValidationError(faults)
        return super().to_internal_value(data)


class ProblemErrorSerializer(serializers.Serializer[Any]):
    """One field at fault."""

    field = serializers.CharField(help_text="its path, `owner.name`; empty when the whole is at fault")
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """An error, as RFC 9457 shapes it."""

    type = serializers.CharField(help_text="`urn:incident-portal:problem:<code>`")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="one sentence that says what is wrong")
    code = serializers.CharField(help_text="stable; for programs")
    errors = ProblemErrorSerializer(many=True)  # type: ignore[assignment]  # DRF takes fields out of the class
