"""Who may do what, by group and by account."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm

from apps.catalog.models import Service, Team
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden, Invalid
from apps.people import operations
from apps.people.groups import GROUP_PERMISSIONS
from apps.people.models import User
from apps.people.permissions import allowed, require
from tests.factories import actor, person, superuser

pytestmark = pytest.mark.django_db


@pytest.fixture
def no_groups(db: None) -> None:
    """As in a new installation; other tests find the groups made."""
    Group.objects.all().delete()


@pytest.mark.usefixtures("no_groups")
def test_syncing_groups_knows_every_permission_and_a_repeat_changes_nothing() -> None:
    first = {group.name: set(group.permissions.all()) for group in operations.sync_groups()}
    assert set(first) == {"viewer", "responder", "commander", "manager", "approver", "auditor"}
    assert {group.name: set(group.permissions.all()) for group in operations.sync_groups()} == first
    assert all(first.values())


def test_a_permission_that_was_added_by_hand_to_a_group_is_taken_away_again() -> None:
    operations.sync_groups()
    viewer, manager = Group.objects.get(name="viewer"), Group.objects.get(name="manager")
    viewer.permissions.set(manager.permissions.all())
    operations.sync_groups()
    assert viewer.permissions.count() == len(set(GROUP_PERMISSIONS["viewer"]))


@pytest.mark.usefixtures("no_groups")
def test_an_unknown_permission_in_the_table_fails_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUP_PERMISSIONS, "viewer", ["people.fly"])
    with pytest.raises(Invalid, match=r"people\.fly"):
        operations.sync_groups()
    assert not Group.objects.exists()


def test_the_portal_has_an_account_that_cannot_log_in() -> None:
    portal = operations.portal_user()
    assert (portal.kind, portal.is_staff, portal.has_usable_password()) == ("portal", False, False)
    assert operations.portal_user() == portal


def test_people_in_a_group_get_into_the_admin_when_groups_are_synced() -> None:
    operations.sync_groups()
    user = person()
    user.groups.add(Group.objects.get(name="viewer"))
    operations.sync_groups()
    user.refresh_from_db()
    assert user.is_staff


@pytest.mark.parametrize(
    ("group", "may"),
    [("viewer", False), ("responder", False), ("commander", True), ("manager", False), ("auditor", False)],
)
def test_only_commanders_command(group: str, may: bool) -> None:
    assert allowed(actor(person(group)), "incidents.command_incident") is may


def test_the_system_may_everything_and_an_inactive_superuser_nothing() -> None:
    assert allowed(Actor.system(), "catalog.add_team")
    boss = superuser()
    assert allowed(actor(boss), "catalog.add_team")
    User.objects.filter(pk=boss.pk).update(is_active=False)
    assert not allowed(actor(boss), "catalog.add_team")


def test_a_refusal_names_the_missing_permission() -> None:
    with pytest.raises(Forbidden, match=r"catalog\.add_team") as refused:
        require(actor(person("viewer")), "catalog.add_team")
    assert refused.value.http_status == 403


def test_a_grant_for_one_row_allows_that_row_only() -> None:
    user = person()
    payments, search = (Team.objects.create(slug=slug, name=slug) for slug in ("payments", "search"))
    assign_perm("catalog.change_team", user, payments)
    assert allowed(actor(user), "catalog.change_team", payments)
    assert not allowed(actor(user), "catalog.change_team", search)
    assert not allowed(actor(user), "catalog.change_team")


def test_a_permission_of_another_app_than_the_row_is_a_plain_no() -> None:
    team = Team.objects.create(slug="payments", name="Payments")
    service = Service.objects.create(slug="pay", name="Pay", owner=team)
    assert not allowed(actor(person("viewer")), "incidents.command_incident", service)


def test_setting_groups_opens_and_closes_the_admin() -> None:
    operations.sync_groups()
    boss, user = superuser(), person()
    assert operations.set_groups(user.pk, ["responder"], actor=actor(boss)).is_staff
    assert not operations.set_groups(user.pk, [], actor=actor(boss)).is_staff


def test_nobody_gives_a_group_that_may_more_than_they() -> None:
    giver, user = person("viewer"), person()
    assign_perm("people.change_user", giver)
    with pytest.raises(Forbidden, match="which they have not"):
        operations.set_groups(user.pk, ["commander"], actor=actor(giver))
    assert not user.groups.exists()


def test_only_a_superuser_changes_a_superuser() -> None:
    giver = person("viewer")
    assign_perm("people.change_user", giver)
    with pytest.raises(Forbidden, match="superuser"):
        operations.set_groups(superuser().pk, [], actor=actor(giver))


def test_history_says_who_changed_groups_and_why() -> None:
    operations.sync_groups()
    boss, user = superuser(), person()
    operations.set_groups(user.pk, ["viewer"], reason="joined the team", actor=actor(boss))
    newest = user.history.latest()
    assert newest.history_user == boss
    assert newest.history_change_reason.startswith("joined the team")
