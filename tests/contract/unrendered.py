"""Pages without their text, for asking only who may open them."""

from __future__ import annotations

from typing import Any

from django.template.backends.django import DjangoTemplates


class _Unrendered:
    """A template that says nothing, whatever it is given."""

    def render(self, context: Any = None, request: Any = None) -> str:
        return ""


class UnrenderedTemplates(DjangoTemplates):
    """Django's templates, of which none is read or rendered when a view or a form asks for it by name."""

    def get_template(self, template_name: str) -> Any:
        return _Unrendered()
