"""Two at once, on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from apps.catalog.models import Change, Dependency, Membership
from apps.catalog.operations import NewChange, add_dependency, add_member, record_changes
from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.policies.models import PolicyVersion
from apps.policies.operations import import_pack
from tests.factories import novacron_text, person, service, team

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
SYSTEM = Actor.system()


def eight_times(verb: Any) -> list[Any]:
    def once(number: int) -> Any:
        try:
            return verb(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(once, range(8)))


def test_the_same_changes_at_once_are_recorded_and_told_once() -> None:
    items = [NewChange(f"change {n}", source="ci", dedup_key=str(n)) for n in range(50)]
    ids = eight_times(lambda _: record_changes(items, actor=SYSTEM))
    assert all(each == ids[0] for each in ids)
    assert Change.objects.count() == 50
    assert Event.objects.filter(kind="catalog.change_recorded").count() == 50


def test_the_same_member_added_at_once_is_one() -> None:
    core, user = team("Core"), person()
    eight_times(lambda _: add_member(core.pk, user.pk, actor=SYSTEM))
    assert Membership.objects.count() == 1


def test_opposite_dependencies_at_once_never_deadlock() -> None:
    a, b = service("a"), service("b")
    eight_times(lambda n: add_dependency(*((a.pk, b.pk) if n % 2 else (b.pk, a.pk)), actor=SYSTEM))
    assert Dependency.objects.count() == 2


def test_the_same_pack_imported_at_once_is_one_version() -> None:
    found = eight_times(lambda _: import_pack(novacron_text(), activate=True, actor=SYSTEM))
    assert len({version.pk for version in found}) == 1
    assert PolicyVersion.objects.count() == 1


def test_different_texts_imported_at_once_get_different_numbers() -> None:
    eight_times(lambda n: import_pack(novacron_text(("target: 5m", f"target: {n + 1}m")), actor=SYSTEM))
    assert sorted(PolicyVersion.objects.values_list("number", flat=True)) == list(range(1, 9))
