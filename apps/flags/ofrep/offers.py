"""What a bulk answer says of the event stream, and the address of it that needs no header: browsers send none there.

The address names a token and an environment under a seal. Whoever has it hears that something changed, and no more; it
works as long as the token does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import orjson
from django.utils.crypto import constant_time_compare, salted_hmac

STREAMS = "/events/flags/"
INACTIVITY_SECONDS = 120
_PATH = re.compile(r"/events/flags/(?P<slug>[A-Za-z0-9_-]{1,100})/ofs_(?P<id>[0-9]{1,18})_(?P<seal>[0-9a-f]{40})/?")


class Ticket(NamedTuple):
    """Whose stream about which environment."""

    token_id: int
    slug: str


def _seal(ticket: Ticket) -> str:
    return salted_hmac("flags.event-stream", f"{ticket.token_id}/{ticket.slug}", algorithm="sha256").hexdigest()[:40]


def address_of(ticket: Ticket) -> str:
    """The path of the stream; the same again for the same ticket, so that programs keep their connection."""
    return f"{STREAMS}{ticket.slug}/ofs_{ticket.token_id}_{_seal(ticket)}"


def ticket_of(path: str) -> Ticket | None:
    """The ticket in a path; None where there is none of ours."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    ticket = Ticket(int(found["id"]), found["slug"])
    return ticket if constant_time_compare(found["seal"], _seal(ticket)) else None


@lru_cache(maxsize=4096)
def offer(token_id: int, slug: str) -> bytes:
    """The end of a bulk answer: its member `eventStreams` with one entry, and the brace.

    There is no origin in it: the stream is where the flags are asked for.
    """
    endpoint = {"requestUri": address_of(Ticket(token_id, slug))}
    streams = [{"type": "sse", "endpoint": endpoint, "inactivityDelaySec": INACTIVITY_SECONDS}]
    return b',"eventStreams":%b}' % orjson.dumps(streams)
