"""The buttons of the command page: each parses its form and calls ONE operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import QueryDict

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from apps.incidents import operations
from apps.incidents.permissions import COMMAND, RESPOND, VIEW
from apps.incidents.queries import subject_of
from apps.paging.operations import escalate_now
from apps.people.models import User

Act = Callable[["Form"], Any]
# A year; the pack's own limit is less.
_LONGEST = 366 * 24 * 60


@dataclass(frozen=True, slots=True)
class Form:
    """What a button sent, about which incident, by whom, in which time zone its instants are written."""

    incident_id: int
    data: QueryDict
    actor: Actor
    zone: ZoneInfo

    def text(self, name: str) -> str:
        return str(self.data.get(name, "")).strip()

    def id(self, name: str) -> int | None:
        """A key of a row; None when nothing was chosen. Invalid for anything that is no whole number."""
        value = self.text(name)
        if not value:
            return None
        if not (value.isascii() and value.isdecimal() and len(value) <= 18):  # noqa: PLR2004  # a big integer has at least as many
            raise Invalid(f"{value[:40]!r} is not a choice.", fields={name: [f"{value[:40]!r} is not a choice."]})
        return int(value)

    def instant(self, name: str) -> datetime | None:
        """A time of the person's own clock, as a browser writes it; None when the field was left empty."""
        value = self.text(name)
        if not value:
            return None
        try:
            found = datetime.fromisoformat(value)
        except ValueError as error:
            raise Invalid(
                f"{value[:40]!r} is not a time.", fields={name: ["Give a time as 2025-11-10T14:03."]}
            ) from error
        return (found if found.tzinfo else found.replace(tzinfo=self.zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Verb:
    """`done` tells of the success, given what the operation returned. `needs` is asked for before the form is read,
    where a form can be wrong by itself; the operation asks for it again."""

    run: Act
    done: Callable[[Any], str]
    needs: str = VIEW


def _say(text: str) -> Callable[[Any], str]:
    return lambda _result: text


def _paged(people: list[User]) -> str:
    names = ", ".join(person.name for person in people)
    return f"Paged {names}." if people else "They have been paged already and not answered yet."


def _take_role(form: Form) -> Any:
    return operations.take_role(form.incident_id, form.text("role"), form.id("user_id"), actor=form.actor)


def _hand_over(form: Form) -> Any:
    to = form.id("to_user_id")
    if to is None:
        raise Invalid("Say to whom the role goes.", fields={"to_user_id": ["Choose a person."]})
    return operations.hand_over(form.incident_id, form.text("role"), to, actor=form.actor)


def _page_in(form: Form) -> Any:
    """A person, or a role of a team, or a team; the form offers the three side by side."""
    return operations.page_in(
        form.incident_id,
        user_id=form.id("user_id"),
        role=form.text("role"),
        team_id=form.id("team_id"),
        reason=form.text("reason"),
        actor=form.actor,
    )


def _escalate(form: Form) -> Any:
    """The step that the page showed, so that two clicks take one step; or a level that was chosen."""
    return escalate_now(
        subject_of(form.incident_id),
        track=form.text("track") or None,
        level=form.id("level"),
        expected_step=form.id("step") if form.text("track") else None,
        reason=form.text("reason"),
        actor=form.actor,
    )


def _mark_condition(form: Form) -> Any:
    return operations.mark_condition(
        form.incident_id, form.text("condition"), amount=form.id("amount"), note=form.text("note"), actor=form.actor
    )


def _snooze(form: Form) -> Any:
    """Until an instant, for some minutes, or until working hours."""
    minutes = form.id("minutes")
    until = form.instant("until") or (now() + timedelta(minutes=min(minutes, _LONGEST)) if minutes else None)
    return operations.snooze(
        form.incident_id, until=until or form.text("preset") or "", reason=form.text("reason"), actor=form.actor
    )


def _post(form: Form) -> Any:
    return operations.post(form.incident_id, form.text("text"), client_key=form.text("client_key"), actor=form.actor)


def _severity(form: Form) -> Any:
    return operations.change_severity(
        form.incident_id, form.text("severity"), reason=form.text("reason"), actor=form.actor
    )


def _type(form: Form) -> Any:
    """One choice gives both: the type, and behind a bar its sub-type."""
    slug, _, subtype = form.text("type").partition("|")
    return operations.change_type(form.incident_id, slug, subtype, actor=form.actor)


def _clock_stop(form: Form) -> Any:
    return operations.choose_clock_stop(
        form.incident_id, form.text("milestone"), reason=form.text("reason"), actor=form.actor
    )


def _mark(form: Form) -> Any:
    return operations.mark(form.incident_id, form.text("milestone"), at=form.instant("at"), actor=form.actor)


def _visibility(form: Form) -> Any:
    return operations.change_visibility(
        form.incident_id, form.text("visibility"), reason=form.text("reason"), actor=form.actor
    )


def _access(operation: Callable[..., Any]) -> Act:
    def run(form: Form) -> Any:
        user_id = form.id("user_id")
        if user_id is None:
            raise Invalid("Say who.", fields={"user_id": ["Choose a person."]})
        return operation(form.incident_id, user_id, actor=form.actor)

    return run


VERBS: Mapping[str, Verb] = {
    "acknowledge": Verb(
        lambda form: operations.acknowledge(form.incident_id, via="web", actor=form.actor),
        _say("Acknowledged: nobody else is paged for an answer."),
    ),
    "take-role": Verb(_take_role, lambda held: f"{held.user.name} has it now."),
    "hand-over": Verb(_hand_over, lambda held: f"Handed over to {held.user.name}.", RESPOND),
    "release-role": Verb(
        lambda form: operations.release_role(form.incident_id, form.text("role"), actor=form.actor),
        _say("Nobody holds this role now."),
    ),
    "set-phase": Verb(
        lambda form: operations.set_phase(form.incident_id, form.text("phase"), actor=form.actor),
        _say("Phase changed."),
    ),
    "change-severity": Verb(_severity, lambda incident: f"Severity is {incident.severity}."),
    "change-type": Verb(_type, _say("Its type is noted.")),
    "choose-clock-stop": Verb(_clock_stop, _say("The clock of the target stops there.")),
    "mark": Verb(_mark, _say("Milestone marked.")),
    "post": Verb(_post, _say("")),
    "page-in": Verb(_page_in, _paged),
    "escalate": Verb(_escalate, _say("They are paged now.")),
    "mark-condition": Verb(_mark_condition, _say("Noted. Whom the pack calls for it is called.")),
    "clear-condition": Verb(
        lambda form: operations.clear_condition(form.incident_id, form.text("condition"), actor=form.actor),
        _say("Taken back. Who was called stays called."),
    ),
    "snooze": Verb(_snooze, _say("Snoozed: nobody is paged until then.")),
    "unsnooze": Verb(
        lambda form: operations.unsnooze(form.incident_id, actor=form.actor),
        _say("It escalates again, from the first level."),
    ),
    "unacknowledge": Verb(
        lambda form: operations.unacknowledge(form.incident_id, reason=form.text("reason"), actor=form.actor),
        _say("Nobody answers for it now: people are paged again."),
    ),
    "resolve": Verb(
        lambda form: operations.resolve(form.incident_id, summary=form.text("summary"), actor=form.actor),
        _say("Resolved. All paging has ended."),
    ),
    "keep-open": Verb(lambda form: operations.keep_open(form.incident_id, actor=form.actor), _say("It stays open.")),
    "reopen": Verb(
        lambda form: operations.reopen(form.incident_id, reason=form.text("reason"), actor=form.actor),
        _say("Open again: escalation starts from its first level."),
    ),
    "change-visibility": Verb(_visibility, lambda incident: f"Now visible to {incident.get_visibility_display()}."),
    "grant-access": Verb(_access(operations.grant_access), _say("They may see it now."), COMMAND),
    "revoke-access": Verb(_access(operations.revoke_access), _say("The grant is taken back."), COMMAND),
}
