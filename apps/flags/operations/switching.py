"""The states of a flag: on, killed, disabled."""

from __future__ import annotations

from apps.flags.events import FlagBroughtBack, FlagDisabled, FlagEnabled, FlagEvent, FlagKilled
from apps.flags.models import Flag, FlagRevision
from apps.flags.operations.approving import require_approval
from apps.flags.operations.changing import finish, locked_flag, record_change
from apps.flags.operations.checking import about_subject, reason_of
from apps.flags.permissions import CHANGE, KILL
from apps.flags.queries import about_of
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject

_NOTHING = Subject("", "")
_DONE = {
    Flag.State.ON: "is on again",
    Flag.State.KILLED: "was killed",
    Flag.State.DISABLED: "was disabled: callers use their own default",
}


@operation
def kill(
    flag_id: int, *, reason: str, about: Subject | None = None, expected_version: int | None = None, actor: Actor
) -> Flag:
    """Make the flag answer its `off` variant, a switch false, in every process within 2 seconds. A disabled one too.

    A repeat changes nothing.

    `about` links what it was killed for, for example an incident that the actor sees. It is recorded as a change of
    each of the flag's services. Needs `flags.kill_flag` (for all, or granted on it) or to lead the owning team. Raises
    NotFound, Forbidden, PreconditionFailed, and Invalid without a reason.
    """
    flag, revision = locked_flag(flag_id, KILL, expected_version=expected_version, actor=actor)
    why, subject = reason_of(reason), about_subject(about, actor)
    if flag.state == Flag.State.KILLED:
        return flag
    flag.about_kind, flag.about_key = subject.kind, subject.key
    flag.was_disabled = flag.state == Flag.State.DISABLED
    _switch(flag, revision, Flag.State.KILLED, FlagKilled, reason=why, about=subject, actor=actor)
    return flag


@operation
def bring_back(
    flag_id: int, *, reason: str, about: Subject | None = None, expected_version: int | None = None, actor: Actor
) -> Flag:
    """Make a killed flag answer as before the kill, likewise; a repeat changes nothing.

    By its definition, that is, but one that was disabled is disabled again: a kill is no way around who enables it.

    The event is about what the flag had been killed for unless `about` says otherwise. Who may is as for `kill`. Raises
    also Conflict for a disabled flag, which `enable` turns on.
    """
    flag, revision = locked_flag(flag_id, KILL, expected_version=expected_version, actor=actor)
    why, subject = reason_of(reason), about_subject(about, actor)
    if flag.state == Flag.State.ON:
        return flag
    if flag.state == Flag.State.DISABLED:
        raise Conflict(f"{flag.key} is disabled, not killed: enable it instead.", code="flag_disabled")
    subject = subject if subject.kind else about_of(flag) or _NOTHING
    flag.about_kind, flag.about_key = "", ""
    state, flag.was_disabled = flag.state_brought_back, False
    _switch(flag, revision, state, FlagBroughtBack, reason=why, about=subject, actor=actor)
    return flag


@operation
def disable(
    flag_id: int, *, reason: str, expected_version: int | None = None, change_id: int | None = None, actor: Actor
) -> Flag:
    """Leave the answer to each caller's own default, for example before the flag is removed from the code.

    A repeat changes nothing. Needs `flags.change_flag` (for all, or granted on it) or to lead the owning team. Raises
    NotFound, Forbidden, PreconditionFailed, Invalid without a reason, and Conflict while it is killed: a default that
    is true would silently undo that. Where a second person must approve it, `change_id` names what was approved.
    """
    flag, revision = locked_flag(flag_id, CHANGE, expected_version=expected_version, actor=actor)
    why = reason_of(reason)
    if flag.state == Flag.State.DISABLED:
        return flag
    if flag.state == Flag.State.KILLED:
        raise Conflict(f"{flag.key} is killed: bring it back before disabling it.", code="flag_killed")
    require_approval(flag, {"state": Flag.State.DISABLED.value}, change_id)
    _switch(flag, revision, Flag.State.DISABLED, FlagDisabled, reason=why, about=_NOTHING, actor=actor)
    return flag


@operation
def enable(
    flag_id: int, *, reason: str, expected_version: int | None = None, change_id: int | None = None, actor: Actor
) -> Flag:
    """Make a disabled flag answer by its definition. One that is on stays so: a repeat changes nothing.

    Who may is as for `disable`. Raises also Conflict for a killed flag, which `bring_back` turns on.
    """
    flag, revision = locked_flag(flag_id, CHANGE, expected_version=expected_version, actor=actor)
    why = reason_of(reason)
    if flag.state == Flag.State.ON:
        return flag
    if flag.state == Flag.State.KILLED:
        raise Conflict(f"{flag.key} is killed, not disabled: bring it back instead.", code="flag_killed")
    require_approval(flag, {"state": Flag.State.ON.value}, change_id)
    _switch(flag, revision, Flag.State.ON, FlagEnabled, reason=why, about=_NOTHING, actor=actor)
    return flag


def _switch(
    flag: Flag,
    revision: FlagRevision,
    state: Flag.State,
    event: type[FlagEvent],
    *,
    reason: str,
    about: Subject,
    actor: Actor,
) -> None:
    flag.state = state
    flag.state_reason = reason
    flag.state_changed_at = now()
    flag.state_changed_by_id = actor.user_id
    flag.version += 1
    flag.save()
    finish(flag, revision, event, reason=reason, about=about, actor=actor)
    record_change(flag, _DONE[Flag.State(flag.state)], actor)
