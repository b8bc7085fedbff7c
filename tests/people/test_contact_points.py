"""Where people are paged."""

from __future__ import annotations

import pytest

from apps.foundation.errors import Forbidden, Invalid, NotFound
from apps.foundation.redaction import redact
from apps.people import operations
from apps.people.models import ContactPoint
from apps.people.queries import contact_code, visible_contact_points
from tests.factories import actor, person, superuser

pytestmark = pytest.mark.django_db


def test_an_address_starts_unverified_and_the_same_one_again_is_the_same() -> None:
    user = person()
    point = operations.add_contact_point(user.pk, "email", "jo@example.com", actor=actor(user))
    assert point.state == ContactPoint.State.UNVERIFIED
    assert operations.add_contact_point(user.pk, "email", "jo@example.com", actor=actor(user)) == point
    assert operations.add_contact_point(user.pk, "email", "jo2@example.com", actor=actor(user)).position == 1


@pytest.mark.parametrize(
    ("kind", "address"), [("email", "nobody"), ("webhook", "ftp://x"), ("pigeon", "coop"), ("email", "a\x00@b.example")]
)
def test_a_wrong_address_is_refused(kind: str, address: str) -> None:
    user = person()
    with pytest.raises(Invalid):
        operations.add_contact_point(user.pk, kind, address, actor=actor(user))


def test_nobody_adds_an_address_for_somebody_else_without_the_permission() -> None:
    user = person()
    with pytest.raises(Forbidden):
        operations.add_contact_point(user.pk, "email", "spy@example.com", actor=actor(person("manager")))
    assert operations.add_contact_point(user.pk, "email", "jo@example.com", actor=actor(superuser()))


def test_an_address_is_verified_by_its_code_once() -> None:
    user = person()
    point = operations.add_contact_point(user.pk, "email", "jo@example.com", actor=actor(user))
    with pytest.raises(Invalid, match="not the code"):
        operations.verify_contact_point(point.pk, code="wrong", actor=actor(user))
    first = operations.verify_contact_point(point.pk, code=contact_code(point), actor=actor(user)).verified_at
    assert operations.verify_contact_point(point.pk, code="", actor=actor(user)).verified_at == first


def test_another_persons_address_does_not_exist_for_a_responder() -> None:
    user, other = person(), person("responder")
    point = operations.add_contact_point(user.pk, "email", "jo@example.com", actor=actor(user))
    with pytest.raises(NotFound):
        operations.disable_contact_point(point.pk, actor=actor(other))
    assert not visible_contact_points(other).exists()
    assert visible_contact_points(person("manager")).count() == 1


def test_a_disabled_address_stays_known_and_a_removed_one_is_gone() -> None:
    user = person()
    point = operations.add_contact_point(user.pk, "email", "jo@example.com", actor=actor(user))
    assert operations.disable_contact_point(point.pk, actor=actor(user)).state == "disabled"
    operations.remove_contact_point(point.pk, actor=actor(user))
    with pytest.raises(NotFound):
        operations.remove_contact_point(point.pk, actor=actor(user))
    assert ContactPoint.history.filter(id=point.pk).latest().history_user == user


def test_redaction_masks_names_and_texts_that_look_secret() -> None:
    shown = redact({"password": "x", "note": "Bearer abcdefghij", "urls": ["smtp://jo:pw@mail/"], "count": 1})
    assert shown == {"password": "•••", "note": "Bearer •••", "urls": ["smtp://•••@mail/"], "count": 1}
    assert redact(shown) == shown
