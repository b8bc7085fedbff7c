"""How often people were paged, for the report on how fairly on-call is shared."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import Count

from apps.paging.models import Page


def pages_by_person(
    user_ids: Collection[int], team_ids: Collection[int], start: datetime, end: datetime
) -> dict[int, int]:
    """Pages of these people in [start, end) by escalations of these teams, or by somebody's own call; one query.

    A call by hand belongs to no team, so it counts for whichever report asks.
    """
    rows = Page.objects.filter(user_id__in=list(user_ids), created_at__gte=start, created_at__lt=end)
    of_teams = rows.filter(escalation__team_id__in=list(team_ids)) | rows.filter(escalation__isnull=True)
    return dict(of_teams.order_by().values_list("user_id").annotate(Count("pk")))
