"""How many queries a page of reviews needs does not grow with what it shows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.foundation.clock import now
from apps.incidents.models import Incident
from apps.incidents.operations import post
from apps.incidents.queries import url as command_page
from apps.postmortems import operations
from apps.postmortems.models import ActionItem, Review
from tests.factories import incident
from tests.postmortems.conftest import SYSTEM, World
from tests.postmortems.test_pages import browser_of, page


def queries(world: World, name: str, path: str) -> list[str]:
    client = browser_of(world, name)
    client.get(path)  # what a process reads only once
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured]


def grows(world: World, name: str, path: str, fill: Callable[[int], None], most: int) -> None:
    fill(3)
    few = queries(world, name, path)
    fill(27)
    many = queries(world, name, path)
    assert len(many) == len(few), "\n".join(sorted(set(many) - set(few)))
    assert len(many) <= most


def reviews(world: World) -> Callable[[int], None]:
    """Reviews that await Mona, each with an overdue item of Ida's."""

    def fill(count: int) -> None:
        for number in range(count):
            made = incident(f"Trouble {number}", "P1", team_id=world.team.pk)
            at = now()
            Incident.objects.filter(pk=made.pk).update(phase="resolved", resolved_at=at)
            review = operations.open_review(made.pk, actor=SYSTEM)
            Review.objects.filter(pk=review.pk).update(
                state="in_review", owner=world.people["cleo"], reviewer=world.people["mona"], submitted_at=at
            )
            items(review, world, 1)

    return fill


def items(review: Review, world: World, count: int) -> None:
    late, ida = now() - timedelta(days=1), world.people["ida"]
    rows = [ActionItem(review=review, title=f"t{n}", owner=ida, priority="P1", due_at=late) for n in range(count)]
    ActionItem.objects.bulk_create(rows)


MOST = {
    "/admin/postmortems/review/": 16,
    "/admin/postmortems/review/list/": 20,
    "/admin/postmortems/actionitem/": 24,
    "/admin/postmortems/actionitem/?show=people": 28,
    "/admin/": 44,
}


def test_lists_need_as_many_queries_for_30_reviews_as_for_3(world: World) -> None:
    fill = reviews(world)
    fill(3)
    few = {path: queries(world, "mona", path) for path in MOST}
    fill(27)
    for path, most in MOST.items():
        many = queries(world, "mona", path)
        assert len(many) == len(few[path]), "\n".join([path, *sorted(set(many) - set(few[path]))])
        assert len(many) <= most, path


def test_a_review_needs_as_many_queries_for_30_items_and_lines_as_for_3(world: World) -> None:
    review = world.review()

    def fill(count: int) -> None:
        items(review, world, count)
        for number in range(count):
            post(review.incident_id, f"note {number}", actor=world.by("cleo"))

    grows(world, "cleo", page(review), fill, 48)


def test_a_command_page_needs_as_many_queries_for_a_review_with_30_items_as_with_3(world: World) -> None:
    review = world.review()
    path = command_page(str(review.incident_id))
    grows(world, "cleo", path, lambda count: items(review, world, count), 64)
