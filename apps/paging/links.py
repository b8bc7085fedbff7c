"""The acknowledgement link of a page: a signature over its id, so that nothing is kept and nothing can be guessed."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from apps.foundation.clock import now
from apps.paging.models import Page


def _signer() -> Signer:
    return Signer(salt="paging.ack", sep=".")


def ack_token(page_id: int) -> str:
    """The token of a page's link; the same each time."""
    return _signer().sign(str(page_id))


def ack_link(page: Page) -> str:
    """The absolute address at which the paged person acknowledges without logging in."""
    return f"{settings.PUBLIC_URL}{reverse('paging:ack', args=[ack_token(page.pk)])}"


def page_id_of(token: str) -> int | None:
    """The page that a token was made for; None for a token of somebody else's making."""
    try:
        return int(_signer().unsign(token))
    except (BadSignature, ValueError):
        return None


def _bundle_signer() -> Signer:
    return Signer(salt="paging.bundle", sep=".")


def bundle_link(bundle_id: int) -> str:
    """The absolute address at which a person acknowledges several pages that came in one message."""
    return f"{settings.PUBLIC_URL}{reverse('paging:ack_bundle', args=[_bundle_signer().sign(str(bundle_id))])}"


def bundle_id_of(token: str) -> int | None:
    """The bundle that a token was made for; None for a token of somebody else's making."""
    try:
        return int(_bundle_signer().unsign(token))
    except (BadSignature, ValueError):
        return None


def _test_signer() -> Signer:
    return Signer(salt="paging.test", sep=".")


def arrival_link(call_id: int) -> str:
    """The absolute address that shows that a test page arrived."""
    return f"{settings.PUBLIC_URL}{reverse('paging:test', args=[_test_signer().sign(str(call_id))])}"


def arrival_call_id_of(token: str) -> int | None:
    """The call of a test page that a token was made for; None for a token of somebody else's making."""
    try:
        return int(_test_signer().unsign(token))
    except (BadSignature, ValueError):
        return None


def link_lifetime() -> timedelta:
    """How long a link works after its page was made (setting `ACK_LINK_HOURS`)."""
    return timedelta(hours=settings.ACK_LINK_HOURS)


def is_expired(page: Page) -> bool:
    return now() >= page.created_at + link_lifetime()
