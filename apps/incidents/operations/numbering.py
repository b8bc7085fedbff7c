"""Numbers such as INC-2025-11-10-001: one sequence for each text that stands before the sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from apps.incidents.models import NumberCounter
from apps.incidents.policy import lifecycle


def allocate_numbers(policy_version_ids: Sequence[int], at: datetime) -> list[str]:
    """One number for each item, in order, in the format of its policy version and the UTC day of `at`.

    Three queries for each hundred different formats. The counters stay locked until the transaction ends, so
    concurrent declarations wait for each other and never get the same number; a rolled-back one leaves no gap.
    """
    at = at.astimezone(UTC)
    prefixes = [lifecycle(pk).number_prefix(at) for pk in policy_version_ids]
    wanted = Counter(prefixes)
    names = sorted(wanted)
    NumberCounter.objects.bulk_create([NumberCounter(pattern=name) for name in names], ignore_conflicts=True)
    counters = list(NumberCounter.objects.select_for_update().filter(pattern__in=names).order_by("pattern"))
    next_of = {counter.pattern: counter.last + 1 for counter in counters}
    for counter in counters:
        counter.last += wanted[counter.pattern]
    NumberCounter.objects.bulk_update(counters, ["last"])
    numbers: list[str] = []
    for prefix, version_id in zip(prefixes, policy_version_ids, strict=True):
        numbers.append(lifecycle(version_id).number_for(at, next_of[prefix]))
        next_of[prefix] += 1
    return numbers
