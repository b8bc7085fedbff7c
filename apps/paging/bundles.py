"""Reads about bundles: whether one still has something to tell, what it says, and whose it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, F, Q, QuerySet

from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.messaging.registry import Wording
from apps.paging.models import BundledPage, Page, PageBundle
from apps.paging.policy import escalation
from apps.paging.rules.urgency import standing_of
from apps.paging.texts import Call, bundle_wording
from apps.people.models import User

_DAY = timedelta(days=1)


def _wanted() -> Q:
    """A filter for bundled pages that still ask for an answer: open, and of the present run."""
    return Q(page__state=Page.State.OPEN) & (Q(page__escalation__isnull=True) | Q(page__escalation__run=F("page__run")))


def open_bundles(keys: Sequence[str]) -> dict[str, int]:
    """For the guard of a bundle's messages: run 1 while any of its pages asks for an answer, none after."""
    rows = BundledPage.objects.filter(_wanted(), bundle_id__in=[int(key) for key in keys if key.isdecimal()])
    return {str(pk): 1 for pk in rows.values_list("bundle_id", flat=True).distinct()}


def open_subjects(keys: Sequence[str]) -> dict[str, list[Subject]]:
    """What the pages of bundles that ask for an answer are about; one query."""
    rows = BundledPage.objects.filter(_wanted(), bundle_id__in=[int(key) for key in keys if key.isdecimal()])
    found: dict[str, list[Subject]] = defaultdict(list)
    about = rows.values_list("bundle_id", "page__subject_kind", "page__subject_key").distinct()
    for pk, kind, key in about.order_by("bundle_id", "page__subject_kind", "page__subject_key"):
        found[str(pk)].append(Subject(kind, key))
    return found


def bundle_wordings(keys: Sequence[str]) -> dict[str, Wording]:
    """What bundles say now: the incidents that are open, the worst first. Three queries.

    Where the last was answered just now, what there was is named all the same: nobody gets an empty message.
    """
    numbers = [int(key) for key in keys if key.isdecimal()]
    bundles = PageBundle.objects.select_related("user").in_bulk(numbers)
    wanted = set(BundledPage.objects.filter(_wanted(), bundle_id__in=numbers).values_list("pk", flat=True))
    found: dict[int, list[tuple[bool, Page]]] = defaultdict(list)
    items = BundledPage.objects.filter(bundle_id__in=numbers).select_related("page__escalation")
    for item in items.order_by("page_id"):
        found[item.bundle_id].append((item.pk in wanted, item.page))
    texts: dict[str, Wording] = {}
    for pk, pages in found.items():
        still = [page for is_wanted, page in pages if is_wanted] or [page for _, page in pages]
        texts[str(pk)] = bundle_wording(bundles[pk], calls_of(still), bundles[pk].user.name)
    return texts


def open_calls(keys: Sequence[str]) -> dict[int, list[Call]]:
    """The pages of each bundle that ask for an answer, as their own messages tell them; one query."""
    items = BundledPage.objects.filter(_wanted(), bundle_id__in=[int(key) for key in keys])
    found: dict[int, list[Page]] = defaultdict(list)
    for item in items.select_related("page__escalation").order_by("page_id"):
        found[item.bundle_id].append(item.page)
    return {pk: calls_of(pages) for pk, pages in found.items()}


def calls_of(pages: Sequence[Page]) -> list[Call]:
    """Pages as their messages tell them, one for each subject, the worst first. Their runs are there already."""
    newest: dict[tuple[str, str], Page] = {(page.subject_kind, page.subject_key): page for page in pages}
    calls = [_call(page) for page in newest.values()]
    return sorted(calls, key=lambda call: (_rank(call), call.page.pk))


def _call(page: Page) -> Call:
    run = page.escalation
    if run is None:
        return Call(page, "", page.reason or "You are paged", None, "")
    level = escalation(run.policy_version_id).level(page.level)
    return Call(page, run.severity, run.title, run.detected_at, level.name if level else "")


def _rank(call: Call) -> int:
    run = call.page.escalation
    return standing_of(run.policy_version_id, run.severity).rank if run is not None else 0


def bundle_pages(bundle: PageBundle) -> list[Page]:
    """The pages of a bundle, the oldest first; one query."""
    items = BundledPage.objects.filter(bundle=bundle).select_related("page__escalation", "page__user")
    return [item.page for item in items.order_by("page_id")]


def visible_bundles(user: User | AnonymousUser) -> QuerySet[PageBundle]:
    """One's own; everybody's with `paging.view_pagebundle`."""
    rows = PageBundle.objects.select_related("user")
    return rows if user.has_perm("paging.view_pagebundle") else rows.filter(user_id=user.pk or 0)


def gathered_lately(user_id: int) -> Mapping[str, int]:
    """How many pages of the last 24 hours were told together, by the reason; one query."""
    return _counted(BundledPage.objects.filter(bundle__user_id=user_id))


def gathered_counts() -> dict[str, float]:
    """How many pages of the last 24 hours were told together, for the metrics."""
    counted = _counted(BundledPage.objects.all())
    return {reason: float(counted.get(reason, 0)) for reason in PageBundle.Reason.values}


def _counted(rows: QuerySet[BundledPage]) -> dict[str, int]:
    """Those of the last 24 hours by their reason."""
    lately = rows.filter(bundle__created_at__gt=now() - _DAY)
    counted = lately.values_list("bundle__reason").annotate(Count("page_id", distinct=True))
    return {str(reason): count for reason, count in counted}
