"""Changes of flags at an instant: one, or the steps of a gradual rollout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db.models import F

from apps.approvals.operations import void_for
from apps.engine.operations import publish
from apps.engine.timers import NewTimer, schedule_many
from apps.flags.events import FlagChangeFailed, FlagChangeScheduled, FlagChangeWithdrawn
from apps.flags.models import Flag, FlagChange
from apps.flags.operations.approving import CHANGE_TIMER, ask_for, demands_approval, due_or_now, follow_answer, is_free
from apps.flags.operations.changing import locked_flag
from apps.flags.operations.checking import reason_of
from apps.flags.operations.defining import checked_definition
from apps.flags.operations.editing import edit_flag
from apps.flags.operations.proposing import OF_EXPERIMENTS, do_with_experiment, is_about_experiment, written_out
from apps.flags.operations.switching import bring_back, disable, enable, kill
from apps.flags.permissions import CHANGE, KILL, authorize
from apps.flags.queries import proposal_subject, subject_of
from apps.foundation.actor import Actor
from apps.foundation.checking import invalid
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, DomainError, Forbidden, NotFound
from apps.foundation.operations import operation
from apps.people.models import User
from apps.people.queries import actor_for_user

FURTHEST = timedelta(days=366)
MOST_WAITING, MOST_STEPS = 100, 50
_LARGEST_ID = 2**63 - 1
_CHANGES = frozenset({"serve", "definition", "state", "needs_approval", *OF_EXPERIMENTS})
_STATES = (Flag.State.ON.value, Flag.State.KILLED.value, Flag.State.DISABLED.value)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a gradual rollout: from this instant on, this part of all gets the variant."""

    at: datetime
    percent: float


@operation
def schedule_change(
    flag_id: int,
    at: datetime | None,
    change: Any,
    *,
    reason: str,
    expected_version: int | None = None,
    actor: Actor,
) -> FlagChange:
    """Have a flag changed at an instant: `{"serve": …}`, `{"definition": …}`, `{"state": …}`, `{"needs_approval": …}`.

    `{"start": "<key>"}` starts one of its experiments, `{"shares": {"experiment": …, "percents": …}}` splits newcomers
    otherwise.

    Where a second person must approve it, it is proposed and done at that instant, without one at once, after they
    have; nothing else may change the flag meanwhile. What need not be approved has an instant.

    It is checked now and again then, when it is done on behalf of `actor`, whose rights are asked again too. Needs what
    the change itself needs: `flags.kill_flag` to kill or bring back, else `flags.change_flag`, or to lead the owning
    team. Raises NotFound, Forbidden, PreconditionFailed, Conflict with too many that wait, and Invalid.
    """
    flag, _ = locked_flag(flag_id, needed_for(change), expected_version=expected_version, actor=actor)
    if at is None and not _is_proposed(flag, change):
        raise invalid("at", "Nobody need approve this: change the flag itself, or give an instant.")
    made = _schedule(flag, [(at, change)], reason, actor)
    return made[0]


@operation
def schedule_rollout(
    flag_id: int,
    variant: str,
    steps: Sequence[Step],
    *,
    otherwise: str | None = None,
    reason: str,
    expected_version: int | None = None,
    actor: Actor,
) -> list[FlagChange]:
    """Have ever more of those whom no rule meets get `variant`, in steps; the rest gets `otherwise`, by default `off`.

    Whoever has it keeps it: each step only adds people. Rights and errors are those of `schedule_change`.
    """
    flag, _ = locked_flag(flag_id, CHANGE, expected_version=expected_version, actor=actor)
    rest = otherwise or flag.definition["off"]
    if not 1 <= len(steps) <= MOST_STEPS:
        raise invalid("steps", f"Give 1 to {MOST_STEPS} steps.")
    if rest == variant:
        raise invalid("variant", f"The rest would get {variant} too: choose another variant for one of them.")
    for before, after in pairwise(steps):
        if after.at <= before.at or after.percent < before.percent:
            raise invalid("steps", "Each step comes after the one before, and with no smaller percentage.")
    changes = [(step.at, {"serve": _part(variant, rest, step.percent)}) for step in steps]
    return _schedule(flag, changes, reason, actor)


def _part(variant: str, rest: str, percent: float) -> Any:
    if not 0 <= percent <= 100:  # noqa: PLR2004  # of all
        raise invalid("steps", f"{percent} is no percentage: give 0 to 100.")
    weight = round(percent * 1000)
    if weight in {0, 100_000}:
        return variant if weight else rest
    return {"split": [{"variant": variant, "weight": weight}, {"variant": rest, "weight": 100_000 - weight}]}


@operation
def withdraw_change(change_id: int, *, reason: str = "", actor: Actor) -> FlagChange:
    """Take back a change that waits; again changes nothing. Rights are those of `schedule_change`.

    Raises NotFound, Forbidden, and Conflict for one that was done.
    """
    rows = FlagChange.objects.select_for_update(of=("self",)).select_related("flag__environment", "flag__owner")
    change = rows.filter(pk=change_id).first() if 0 < change_id <= _LARGEST_ID else None
    if change is None:
        raise NotFound("There is no such change, or you may not see it.")
    authorize(actor, change.flag, needed_for(change.change))
    if change.state == FlagChange.State.WITHDRAWN:
        return change
    if change.state not in (FlagChange.State.WAITING, FlagChange.State.PROPOSED):
        raise Conflict(f"This change is {change.get_state_display()} already.", code="change_finished")
    was_proposed = change.state == FlagChange.State.PROPOSED
    _finish(change, FlagChange.State.WITHDRAWN)
    _close_ranks(change)
    if was_proposed:
        void_for(proposal_subject(change), reason=reason or "It is withdrawn.", actor=actor)
    _tell(FlagChangeWithdrawn, change, reason, actor)
    return change


_YES = frozenset({"approvals.approved", "approvals.bypassed"})
_NO = {
    "approvals.refused": "Refused",
    "approvals.expired": "Nobody decided in time",
    "approvals.voided": "What was proposed no longer fits the flag",
    "approvals.withdrawn": "The request for approval was withdrawn",
}


@operation
def answer_proposal(request_id: int, event: str, *, name: str, said: str, actor: Actor) -> None:
    """Take over an answer, told by the event kind `event`, for the portal itself. A repeat changes nothing."""
    by = f" by {name}" if event == "approvals.refused" and name else ""
    words = f"{_NO.get(event, '')}{by}" + (f": {said}" if said else ".")
    for change in follow_answer(request_id, is_yes=event in _YES, words=words):
        if change.state == FlagChange.State.FAILED:
            _tell(FlagChangeFailed, change, change.detail, actor)


def do_changes(changes: Sequence[FlagChange]) -> None:
    """Do locked changes that are due, each on behalf of who wrote it. What can't be done says why; the rest goes on."""
    for change in changes:
        if change.state != FlagChange.State.WAITING:
            continue
        try:
            _do(change)
        except DomainError as error:
            change.detail = error.message[:300]
            _finish(change, FlagChange.State.FAILED)
            _tell(FlagChangeFailed, change, change.detail, Actor.system("flags"))
        else:
            _finish(change, FlagChange.State.DONE)


def _do(change: FlagChange) -> None:
    author = change.created_by
    if author is not None and not author.is_active:
        raise Forbidden(f"{author.name}, who scheduled it, has no active account any more.")
    actor = Actor.system("flags") if author is None else actor_for_user(author, "task")
    flag = Flag.objects.get(pk=change.flag_id)  # another change of this batch may have been done since
    if _apply(flag, change, actor).version == flag.version:
        _close_ranks(change)


def _apply(flag: Flag, change: FlagChange, actor: Actor) -> Flag:
    wanted = change.change
    if is_about_experiment(wanted):
        return do_with_experiment(flag, change, actor)
    if "state" in wanted:
        verb = _verb(flag, wanted["state"], change)
        approved = {"change_id": change.pk} if verb in (enable, disable) else {}
        return verb(flag.pk, reason=change.reason, actor=actor, **approved)
    if "needs_approval" in wanted:
        return edit_flag(flag.pk, needs_approval=False, reason=change.reason, change_id=change.pk, actor=actor)
    rules = wanted["definition"] if "definition" in wanted else {**flag.definition, "serve": wanted["serve"]}
    return edit_flag(flag.pk, definition=rules, reason=change.reason, change_id=change.pk, actor=actor)


def _close_ranks(change: FlagChange) -> None:
    """This step of a rollout raises no version: the later ones are for one less.

    Not for the flag's present version, since somebody else may have raised that, which voids what was approved.
    """
    if change.approval_id is not None and change.base_version is not None:
        pending = [FlagChange.State.WAITING, FlagChange.State.PROPOSED]
        rows = FlagChange.objects.filter(approval=change.approval_id, base_version__gt=change.base_version)
        rows.filter(state__in=pending).update(base_version=F("base_version") - 1)


def _verb(flag: Flag, state: str, change: FlagChange) -> Callable[..., Flag]:
    if state == Flag.State.KILLED:
        return kill
    if state == Flag.State.DISABLED:
        return disable
    if flag.state != Flag.State.KILLED:
        return enable
    if flag.was_disabled:
        raise Conflict(f"{flag.key} was disabled before the kill: bring it back, then enable it.", code="flag_killed")
    if flag.state_changed_at > change.created_at:
        raise Conflict(f"{flag.key} was killed since this was scheduled: bring it back by hand.", code="killed_since")
    return bring_back


def _is_proposed(flag: Flag, change: Any) -> bool:
    return demands_approval(flag) and not is_free(change)


def _schedule(flag: Flag, wanted: Sequence[tuple[datetime | None, Any]], reason: str, actor: Actor) -> list[FlagChange]:
    why, at = reason_of(reason), now()
    pending = [FlagChange.State.WAITING, FlagChange.State.PROPOSED]
    if FlagChange.objects.filter(flag=flag, state__in=pending).count() + len(wanted) > MOST_WAITING:
        raise Conflict(
            f"At most {MOST_WAITING} changes of a flag may wait: withdraw some first.", code="too_many_changes"
        )
    author = User.objects.filter(pk=actor.user_id).first() if actor.user_id else None
    made: list[FlagChange] = []
    for due_at, given in wanted:
        if due_at is not None and not at < due_at <= at + FURTHEST:
            raise invalid("at", f"Give an instant in the next {FURTHEST.days} days; it is {at:%Y-%m-%d %H:%M} UTC now.")
        change = written_out(flag, given)
        check_change(flag, change)
        row = FlagChange(flag=flag, due_at=due_or_now(due_at), change=change, reason=why, created_by=author)
        if _is_proposed(flag, change):
            # Each step of a rollout raises the version by one; for one that does not, see `_close_ranks`.
            row.state, row.base_version = FlagChange.State.PROPOSED, flag.version + len(made)
        row.save()
        made.append(row)
        _tell(FlagChangeScheduled, row, why, actor)
    if made[0].state == FlagChange.State.PROPOSED:
        ask_for(flag, made, at_once=wanted[0][0] is None, actor=actor)
    else:
        schedule_many([NewTimer(CHANGE_TIMER, str(row.pk), 1, 1, row.due_at) for row in made])
    return made


def needed_for(change: Any) -> str:
    """The permission for such a change; what is no change at all is refused later."""
    switches = isinstance(change, dict) and change.get("state") in (Flag.State.KILLED, Flag.State.ON)
    return KILL if switches else CHANGE


def check_change(flag: Flag, change: Any) -> None:
    """Raise Invalid, with the place of every mistake, for what is no change of this flag."""
    if not isinstance(change, dict) or len(change) != 1 or not change.keys() & _CHANGES:
        raise invalid(
            "change", "Give exactly one of `serve`, `definition`, `state`, `needs_approval`, `start` and `shares`."
        )
    if is_about_experiment(change):
        return  # `written_out` has checked it
    if "needs_approval" in change:
        if change["needs_approval"] is not False:
            raise invalid("change", "`needs_approval` can only be taken away: false. To demand one, edit the flag.")
        return
    if "state" in change:
        if change["state"] not in _STATES:
            raise invalid("change", f"Choose the state among {', '.join(_STATES)}.")
    elif "definition" in change:
        checked_definition(flag, change["definition"])
    else:
        checked_definition(flag, {**flag.definition, "serve": change["serve"]})


def _finish(change: FlagChange, state: FlagChange.State) -> None:
    change.state, change.finished_at = state, now()
    change.save(update_fields=["state", "finished_at", "detail"])


def _tell(event: type[Any], change: FlagChange, reason: str, actor: Actor) -> None:
    flag = change.flag
    told = event(
        flag_id=flag.pk,
        key=flag.key,
        environment=flag.environment.slug,
        name=flag.name,
        reason=reason,
        about_kind="",
        about_key="",
        due_at=change.due_at.isoformat(),
    )
    publish(told, subject=subject_of(flag), actor=actor)
