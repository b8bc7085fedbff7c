"""The admin pages of accounts."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from apps.people.models import ApiToken, ContactPoint, User
from apps.people.operations import add_contact_point, create_service_account, portal_user
from tests.factories import actor, person, superuser, token

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.people.urls")]
LISTS = [f"/admin/people/{name}/" for name in ("user", "contactpoint", "apitoken")] + ["/admin/auth/group/"]


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "manager", "approver", "auditor"])
def test_every_group_opens_the_lists_and_changes_no_account(group: str) -> None:
    user, other = person(group), person("viewer")
    client = signed_in(user)
    assert [client.get(url).status_code for url in LISTS] == [200] * 4
    page = client.get(f"/admin/people/user/{other.pk}/change/")
    assert page.status_code == 200
    assert "_save" not in page.content.decode()
    assert client.post(f"/admin/people/user/{other.pk}/change/", {"username": "x"}).status_code == 403
    assert client.get("/admin/people/user/add/").status_code == 403


def test_people_without_a_group_are_sent_to_the_login() -> None:
    assert [signed_in(person()).get(url).status_code for url in LISTS] == [302] * 4


def change_form(user: User, **changes: Any) -> dict[str, Any]:
    prefix = "contact_points"
    empty = {f"{prefix}-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")}
    fields = {"username": user.username, "email": user.email, "time_zone": "UTC", "is_active": "on"}
    return {**fields, **empty, "display_name": user.display_name, **changes}


def test_a_superuser_gives_groups_and_history_has_the_reason_of_the_form() -> None:
    boss, user = superuser(), person("viewer")
    groups = list(user.groups.values_list("pk", flat=True))
    user.groups.clear()
    form = change_form(user, groups=groups, display_name="Jo", change_reason="joined the team")
    assert signed_in(boss).post(f"/admin/people/user/{user.pk}/change/", form).status_code == 302
    user.refresh_from_db()
    assert (user.name, user.is_staff, user.groups.count()) == ("Jo", True, 1)
    reasons = list(user.history.filter(history_user=boss).values_list("history_change_reason", flat=True))
    assert any(reason.startswith("joined the team") for reason in reasons)


def test_the_portals_account_and_accounts_in_general_are_not_deleted() -> None:
    client, portal = signed_in(superuser()), portal_user()
    assert client.post(f"/admin/people/user/{portal.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"/admin/people/user/{portal.pk}/change/", change_form(portal)).status_code == 403


def test_no_page_shows_a_part_of_a_password_hash_to_those_who_only_look() -> None:
    other = person("viewer")
    page = signed_in(person("auditor")).get(f"/admin/people/user/{other.pk}/change/").content.decode()
    assert "salt" not in page
    assert other.password not in page


def test_history_shows_who_and_why_and_a_post_to_it_writes_nothing() -> None:
    boss, user = superuser(), person("viewer")
    client = signed_in(boss)
    client.post(f"/admin/people/user/{user.pk}/change/", change_form(user, display_name="Jo", change_reason="typo"))
    page = client.get(f"/admin/people/user/{user.pk}/history/")
    assert page.status_code == 200
    assert "typo" in page.content.decode()
    assert user.password not in page.content.decode()
    version = user.history.earliest().history_id
    url = f"/admin/people/user/{user.pk}/history/{version}/"
    assert client.get(url).status_code == 200
    assert client.post(url, change_form(user, display_name="Forged")).status_code == 405
    assert User.objects.get(pk=user.pk).display_name != "Forged"


def test_another_persons_address_and_its_history_are_404_for_a_responder() -> None:
    owner = person("viewer")
    point = add_contact_point(owner.pk, "email", "jo@example.com", actor=actor(owner))
    base = f"/admin/people/contactpoint/{point.pk}"
    version = point.history.get().history_id
    client = signed_in(person("responder"))
    assert client.get(f"{base}/history/").status_code == 404
    assert client.get(f"{base}/history/{version}/").status_code == 404
    assert client.get(f"{base}/change/").status_code == 302  # the admin's way to say that there is none
    assert "jo@example.com" not in client.get("/admin/people/contactpoint/?q=jo").content.decode()
    assert signed_in(owner).get(f"{base}/history/").status_code == 200
    assert signed_in(person("manager")).get(f"{base}/history/{version}/").status_code == 200


def test_the_history_of_a_removed_address_is_for_auditors() -> None:
    owner = person("viewer")
    point = add_contact_point(owner.pk, "email", "jo@example.com", actor=actor(owner))
    url = f"/admin/people/contactpoint/{point.pk}/history/"
    point.delete()
    assert signed_in(owner).get(url).status_code == 404
    assert signed_in(person("auditor")).get(url).status_code == 200


def press(client: Client, url: str, **fields: Any) -> Any:
    return client.post(url, {"_form_submitted": "True", **fields}, headers={"HX-Request": "true"})


def test_a_person_adds_verifies_and_disables_an_address_by_buttons() -> None:
    user = person("viewer")
    client = signed_in(user)
    assert press(client, "/admin/people/contactpoint/new/", kind="email", address="jo@example.com").status_code == 200
    point = ContactPoint.objects.get()
    assert point.user == user
    press(client, f"/admin/people/contactpoint/{point.pk}/verify/", code="wrong")
    point.refresh_from_db()
    assert point.state == "unverified"
    response = press(client, f"/admin/people/contactpoint/{point.pk}/disable/")
    assert response.headers["HX-Redirect"].endswith(f"/{point.pk}/change/")
    point.refresh_from_db()
    assert point.state == "disabled"


def test_opening_a_button_changes_nothing_and_strangers_cannot_press_it() -> None:
    user = person("viewer")
    point = add_contact_point(user.pk, "email", "jo@example.com", actor=actor(user))
    url = f"/admin/people/contactpoint/{point.pk}/disable/"
    assert signed_in(user).get(url).status_code == 200
    assert press(signed_in(person("responder")), url).status_code == 403
    point.refresh_from_db()
    assert point.state == "unverified"


def test_a_new_token_is_shown_once_and_can_be_revoked() -> None:
    user = person("viewer")
    client = signed_in(user)
    page = press(client, "/admin/people/apitoken/new/", account=user.pk, name="bot", scopes=["people:read"])
    made = ApiToken.objects.get()
    assert made.prefix in page.content.decode()
    text = page.content.decode().split("data-token>")[1].split("<")[0]
    assert "no-store" in page.headers["Cache-Control"]
    assert text not in client.get(f"/admin/people/apitoken/{made.pk}/change/").content.decode()
    press(client, f"/admin/people/apitoken/{made.pk}/revoke/")
    made.refresh_from_db()
    assert made.revoked_at is not None


def test_a_token_of_a_stranger_can_be_neither_seen_nor_made() -> None:
    other = person("viewer")
    made, _ = token(other)
    client = signed_in(person("responder"))
    assert client.get(f"/admin/people/apitoken/{made.pk}/history/").status_code == 404
    press(client, "/admin/people/apitoken/new/", account=other.pk, name="bot", scopes=["*"])
    assert ApiToken.objects.count() == 1


def test_a_manager_makes_and_closes_a_service_account() -> None:
    manager = person("manager")
    client = signed_in(manager)
    press(client, "/admin/people/user/new_service_account/", username="deploy-bot", groups=["responder"])
    bot = User.objects.get(username="deploy-bot")
    assert (bot.kind, bot.owner) == ("service", manager)
    press(client, f"/admin/people/user/{bot.pk}/close_account/")
    bot.refresh_from_db()
    assert not bot.is_active


def test_a_responder_neither_makes_nor_closes_one() -> None:
    bot = create_service_account("bot", actor=actor(person("manager")))
    client = signed_in(person("responder"))
    assert press(client, "/admin/people/user/new_service_account/", username="x").status_code == 403
    assert press(client, f"/admin/people/user/{bot.pk}/close_account/").status_code == 403


def test_create_admin_prints_a_password_that_works_and_may_leave_an_existing_one_alone() -> None:
    out = StringIO()
    call_command("create_admin", username="root", stdout=out)
    password = out.getvalue().split("Password:")[1].split()[0]
    assert Client().login(username="root", password=password)
    call_command("create_admin", "--if-missing", username="root", stdout=out)
    assert Client().login(username="root", password=password)
    call_command("create_admin", username="root", stdout=out)
    assert not Client().login(username="root", password=password)
    portal_user()
    with pytest.raises(CommandError, match="person"):
        call_command("create_admin", username="portal", stdout=out)


@pytest.mark.parametrize("zone", ["PST", "Berlin", "../UTC"])
def test_an_account_gets_only_a_time_zone_that_exists(zone: str) -> None:
    user = person("viewer")
    url = f"/admin/people/user/{user.pk}/change/"
    refused = signed_in(superuser()).post(url, change_form(user, time_zone=zone))
    assert f"{zone} is no time zone: write one such as Europe/Berlin." in refused.content.decode().replace("&#x27;", "")
    assert signed_in(superuser()).post(url, change_form(user, time_zone="Europe/Berlin")).status_code == 302
    user.refresh_from_db()
    assert user.time_zone == "Europe/Berlin"
