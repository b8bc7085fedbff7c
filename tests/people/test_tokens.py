"""Tokens and service accounts: who makes them, what they hold, how they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.engine.models import Event
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.people import operations
from apps.people.crypto import Unreadable, digest, seal, unseal
from apps.people.models import ApiToken, User
from apps.people.queries import actor_for_token, covers, token_by_text
from tests.factories import actor, person, superuser

pytestmark = pytest.mark.django_db


def test_a_token_is_kept_only_as_a_digest_and_its_text_opens_the_account() -> None:
    user = person("viewer")
    token, text = operations.create_token(user.pk, "bot", ["people:read"], actor=actor(user))
    assert token.digest == digest(text)
    assert text.startswith(token.prefix)
    assert text not in str(ApiToken.objects.values().get())
    assert token_by_text(text) == token


def test_history_and_events_of_a_token_say_who_and_never_hold_a_secret() -> None:
    user = person("viewer")
    token, text = operations.create_token(user.pk, "bot", ["*"], actor=actor(user))
    row = token.history.get()
    assert row.history_user == user
    assert "create token" in row.history_change_reason
    kept = str(token.history.values().get()) + str(list(Event.objects.values()))
    assert text not in kept
    assert token.digest not in kept


def test_passwords_never_reach_the_history() -> None:
    user = person()
    user.set_password("another horse battery")
    user.save()
    assert not any("password" in row for row in user.history.values())


@pytest.mark.parametrize("scopes", [[], ["fly:write"], ["incidents"], ["incidents:admin"]])
def test_unknown_scopes_are_refused(scopes: list[str]) -> None:
    user = person()
    with pytest.raises(Invalid) as refused:
        operations.create_token(user.pk, "bot", scopes, actor=actor(user))
    assert "scopes" in refused.value.fields


def test_a_token_that_would_be_dead_already_is_refused() -> None:
    user = person()
    with pytest.raises(Invalid, match="dead"):
        operations.create_token(user.pk, "bot", ["*"], now() - timedelta(seconds=1), actor=actor(user))


def test_nobody_makes_a_token_of_another_person() -> None:
    with pytest.raises(Forbidden):
        operations.create_token(person().pk, "bot", ["*"], actor=actor(superuser()))


def test_a_token_cannot_make_one_with_wider_scopes() -> None:
    user = person()
    token, _ = operations.create_token(user.pk, "narrow", ["people:write"], actor=actor(user))
    narrow = actor_for_token(token)
    assert operations.create_token(user.pk, "child", ["people:read"], actor=narrow)
    with pytest.raises(Forbidden, match="incidents:read"):
        operations.create_token(user.pk, "wide", ["incidents:read"], actor=narrow)


def test_writing_includes_reading_of_the_same_area_only() -> None:
    assert covers(["incidents:write"], "incidents:read")
    assert not covers(["incidents:write"], "alerts:read")
    assert not covers(["incidents:read"], "incidents:write")
    assert covers(["*"], "alerts:write")


def test_an_expired_a_revoked_and_a_closed_accounts_token_open_nothing() -> None:
    user = person()
    old, old_text = operations.create_token(user.pk, "old", ["*"], actor=actor(user))
    old.expires_at = now() - timedelta(seconds=1)
    old.save()
    gone, gone_text = operations.create_token(user.pk, "gone", ["*"], actor=actor(user))
    operations.revoke_token(gone.pk, actor=actor(user))
    assert token_by_text(old_text) is None
    assert token_by_text(gone_text) is None


def test_revoking_twice_changes_nothing_and_strangers_cannot() -> None:
    user = person()
    token, _ = operations.create_token(user.pk, "bot", ["*"], actor=actor(user))
    with pytest.raises(NotFound):
        operations.revoke_token(token.pk, actor=actor(person("viewer")))
    with pytest.raises(Forbidden):
        operations.revoke_token(token.pk, actor=actor(person("auditor")))
    first = operations.revoke_token(token.pk, actor=actor(user)).revoked_at
    assert operations.revoke_token(token.pk, actor=actor(user)).revoked_at == first
    assert Event.objects.filter(kind="people.token_revoked").count() == 1


def test_a_manager_makes_a_service_account_and_its_owner_alone_makes_its_tokens() -> None:
    manager, other = person("manager"), person("manager")
    bot = operations.create_service_account("deploy-bot", groups=["responder"], actor=actor(manager))
    assert (bot.kind, bot.owner, bot.is_staff, bot.has_usable_password()) == ("service", manager, False, False)
    assert operations.create_token(bot.pk, "ci", ["changes:write"], actor=actor(manager))
    with pytest.raises(Forbidden, match="owner"):
        operations.create_token(bot.pk, "ci", ["changes:write"], actor=actor(other))


def test_a_service_account_gets_no_more_than_its_maker_has() -> None:
    with pytest.raises(Forbidden, match="which they have not"):
        operations.create_service_account("boss-bot", groups=["commander"], actor=actor(person("manager")))
    with pytest.raises(Forbidden):
        operations.create_service_account("bot", actor=actor(person("commander")))
    assert not User.objects.filter(kind="service").exists()


def test_a_taken_or_malformed_name_of_a_service_account_is_refused() -> None:
    manager = person("manager")
    operations.create_service_account("bot", actor=actor(manager))
    with pytest.raises(Conflict):
        operations.create_service_account("bot", actor=actor(manager))
    with pytest.raises(Invalid):
        operations.create_service_account("a b\x00", actor=actor(manager))


def test_closing_a_service_account_stops_its_tokens() -> None:
    manager = person("manager")
    bot = operations.create_service_account("bot", actor=actor(manager))
    _, text = operations.create_token(bot.pk, "ci", ["*"], actor=actor(manager))
    operations.deactivate_service_account(bot.pk, actor=actor(manager))
    assert token_by_text(text) is None
    with pytest.raises(Forbidden):
        operations.deactivate_service_account(bot.pk, actor=actor(person("manager")))


def test_sealed_text_reads_back_and_a_changed_one_does_not() -> None:
    sealed = seal("hunter2")
    assert "hunter2" not in sealed
    assert unseal(sealed) == "hunter2"
    with pytest.raises(Unreadable):
        unseal(sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:])


def test_a_former_secret_key_still_opens_what_it_sealed(settings: Any) -> None:
    sealed = seal("hunter2")
    former = settings.SECRET_KEY
    settings.SECRET_KEY = "n" * 50
    with pytest.raises(Unreadable):
        unseal(sealed)
    settings.SECRET_KEY_FALLBACKS = [former]
    assert unseal(sealed) == "hunter2"
