"""The text of the event stream, as the HTML standard defines it ("Server-sent events")."""

from __future__ import annotations

from typing import Any, Final

import orjson

from apps.incidents.models import TimelineEntry

RETRY_MILLISECONDS = 2000
HEARTBEAT: Final = b": still here\n\n"


def frame(event: str, data: dict[str, Any], *, number: int | None = None) -> bytes:
    """One event. `number` becomes the id that a browser sends back as `Last-Event-ID`."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"


def opening(number: int | None) -> bytes:
    """The first frame of every stream: how soon to come back after a break, and where the stream stands."""
    return f"retry: {RETRY_MILLISECONDS}\n".encode() + frame("open", {"seq": number}, number=number)


def entry_frame(entry: TimelineEntry) -> bytes:
    """One line of the timeline."""
    data = {
        "seq": entry.seq,
        "kind": entry.kind,
        "text": entry.text,
        "author": entry.author_name,
        "author_id": entry.author_id,
        "at": entry.at,
        "data": entry.data,
    }
    return frame("entry", data, number=entry.seq)


def state_frame(version: int, seq: int) -> bytes:
    """After the lines: the incident is at this version; whoever shows an older one fetches it again."""
    return frame("state", {"version": version, "seq": seq})


def refetch_frame(number: int | None = None) -> bytes:
    """Only a hint: what the page shows is no longer all there is."""
    return frame("refetch", {}, number=number)


def end_frame(reason: str, *, reconnect: bool) -> bytes:
    """The last frame. Unless `reconnect`, the browser should close its side and ask no more."""
    return frame("end", {"reason": reason, "reconnect": reconnect})
