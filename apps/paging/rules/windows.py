"""The bundle window: what is told at once, and what is gathered. Pure.

The first page goes at once and opens a window. What comes until it closes is gathered and told at its end, which
opens the next window. Something worse than all that was told or gathered in the window goes at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Window:
    """One person's window. Low ranks are worse. `gathered` is the worst rank that will be told at its end."""

    until: datetime | None = None
    rank: int | None = None
    gathered: int | None = None
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`gather_until` None: at once."""

    window: Window
    gather_until: datetime | None


def current(window: Window, at: datetime, length: timedelta) -> Window:
    """The window that `at` lies in: the one that is open, the one that a message at its end opened, or none.

    Whoever keeps windows ends one whose message had nothing left to tell: that is not known here.
    """
    if window.until is None or at < window.until:
        return window
    if window.gathered is not None and at < window.until + length:
        return Window(until=window.until + length, rank=window.gathered)
    return Window()


def admit(window: Window, rank: int, subject: str, at: datetime, length: timedelta) -> Verdict:
    """What becomes of a page of this rank, and the window after it.

    A further page about the only thing that was told at once in this window goes at once too: it is no storm, and the
    first message may have become void.
    """
    there = current(window, at, length)
    if there.until is None:
        return Verdict(Window(at + length, rank, None, (subject,)), None)
    worst = min((known for known in (there.rank, there.gathered) if known is not None), default=rank + 1)
    if there.told == (subject,) or rank < worst:
        told = there.told if subject in there.told else (*there.told, subject)
        return Verdict(replace(there, rank=min(rank, worst), told=told), None)
    gathered = rank if there.gathered is None else min(rank, there.gathered)
    return Verdict(replace(there, gathered=gathered), there.until)
