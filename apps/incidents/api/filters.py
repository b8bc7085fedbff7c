"""How lists of incidents are narrowed."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet

from apps.incidents.models import Incident
from apps.incidents.queries import search


class IncidentFilter(django_filters.FilterSet):
    """By severity, type, phase, team, service, being open, and words."""

    severity = django_filters.CharFilter(field_name="severity", lookup_expr="iexact", label="P0, P1 …")
    phase = django_filters.ChoiceFilter(choices=Incident.Phase.choices)
    team = django_filters.NumberFilter(field_name="team_id", label="id of a team")
    service = django_filters.NumberFilter(method="of_service", label="id of a service")
    open = django_filters.BooleanFilter(method="only_open", label="true: not resolved; false: resolved")
    q = django_filters.CharFilter(method="with_words", label="words of number, title, summary or service")

    class Meta:
        model = Incident
        fields = ("severity", "type", "phase", "visibility", "kind")

    def of_service(self, rows: QuerySet[Incident], name: str, value: Any) -> QuerySet[Incident]:
        return rows.filter(pk__in=Incident.services.through.objects.filter(service_id=value).values("incident_id"))

    def only_open(self, rows: QuerySet[Incident], name: str, value: bool) -> QuerySet[Incident]:
        resolved = {"phase": Incident.Phase.RESOLVED}
        return rows.exclude(**resolved) if value else rows.filter(**resolved)

    def with_words(self, rows: QuerySet[Incident], name: str, value: str) -> QuerySet[Incident]:
        return search(rows, value)
