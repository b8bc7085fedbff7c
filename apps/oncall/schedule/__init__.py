"""Who is on call when: pure functions of a schedule and an interval, without a database.

Paging, the calendar and every feed ask these functions, so they can't disagree. All instants are aware;
results are in UTC. All intervals are half-open: the instant of a handoff belongs to the next person.

The rules:

- A layer hands over at wall-clock times in an IANA zone: every n hours, days, weeks or months, counted from its
  first handoff. A time that a clock change skips means the first instant after the gap; a time that happens twice
  means its first occurrence. A day that a month lacks means the month's last one.
- At a handoff the turn goes to the next place in the order among those effective then. Places that begin, end or
  pause never shuffle the others.
- A place that ends or pauses while it is on duty hands over at that instant. A place that begins while nobody is on
  duty takes over at that instant. Before the first handoff nobody is on duty.
- Restrictions and holidays only hide a layer's duty; the turns go on behind them.
- Of several layers the one with the highest priority that has somebody has the duty.
- Overrides lie on top, in the order in which they were made: one takes the whole duty, one for a person takes it
  only where that person would be on. So of several the newest wins.
- Coverage puts people on besides the one on duty. Nobody is on twice at one instant.
- A pause stops a person, or everybody, from taking turns; overrides and coverage hold all the same.
"""

from apps.oncall.schedule.clashes import Clash, clashes, own_turns, unmanned
from apps.oncall.schedule.clocks import wall_clock
from apps.oncall.schedule.fairness import Tally, tally, weights
from apps.oncall.schedule.handoffs import next_handoff
from apps.oncall.schedule.holidays import Holidays, national_days
from apps.oncall.schedule.shifts import gaps, people_on, shifts, who_is_on
from apps.oncall.schedule.terms import (
    Cadence,
    Cover,
    Coverage,
    HolidayRule,
    Layer,
    Pause,
    Place,
    Restriction,
    Schedule,
    Shift,
)

__all__ = [
    "Cadence",
    "Clash",
    "Cover",
    "Coverage",
    "HolidayRule",
    "Holidays",
    "Layer",
    "Pause",
    "Place",
    "Restriction",
    "Schedule",
    "Shift",
    "Tally",
    "clashes",
    "gaps",
    "national_days",
    "next_handoff",
    "own_turns",
    "people_on",
    "shifts",
    "tally",
    "unmanned",
    "wall_clock",
    "weights",
    "who_is_on",
]
