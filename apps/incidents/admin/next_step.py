"""The one thing to do next on an incident, as this person sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.contrib.auth.models import AnonymousUser

from apps.incidents.admin.showing import Tone, span_text
from apps.incidents.models import Incident, RoleAssignment
from apps.incidents.policy import lifecycle, roles
from apps.people.models import User

_AFTER = {
    Incident.Phase.DETECTED: (Incident.Phase.TRIAGE, "Find out what is wrong and how bad it is."),
    Incident.Phase.TRIAGE: (Incident.Phase.MITIGATING, "When you know what to do about it, do it and say so."),
    Incident.Phase.MITIGATING: (Incident.Phase.VALIDATING, "When the harm has ended, check that it really has."),
}


@dataclass(frozen=True, slots=True)
class Powers:
    """What the person may do here."""

    respond: bool
    command: bool


@dataclass(frozen=True, slots=True)
class Button:
    """Posts `fields` to the verb; with `opens` it opens that dialog instead."""

    label: str
    verb: str
    fields: Mapping[str, str] = field(default_factory=dict)
    style: str = ""
    opens: str = ""
    icon: str = ""

    @property
    def classes(self) -> str:
        """The style sheet's names for `style`."""
        return " ".join(f"ip-btn--{word}" for word in self.style.split())


@dataclass(frozen=True, slots=True)
class NextStep:
    title: str
    text: str
    tone: Tone | str
    icon: str
    buttons: tuple[Button, ...] = ()


def next_step(
    incident: Incident,
    powers: Powers,
    held: Mapping[str, RoleAssignment],
    *,
    was_paged: bool,
    user: User | AnonymousUser,
) -> NextStep:
    """What this person should do now: the first that applies, from resolved to the next phase."""
    commander = roles(incident.policy_version_id).commander
    assignment = held.get(commander.slug)
    take = Button("Take command", "take-role", {"role": commander.slug}, "primary", icon="person_raised_hand")
    if not incident.is_open:
        return _resolved(incident, powers)
    if incident.resolve_proposed_at is not None:
        return _proposed(powers, take if assignment is None and powers.command else None)
    if incident.acknowledged_at is None:
        return _unanswered(powers, take, was_paged=was_paged)
    return _answered(incident, powers, assignment, was_paged=was_paged, user=user)


def _answered(
    incident: Incident,
    powers: Powers,
    assignment: RoleAssignment | None,
    *,
    was_paged: bool,
    user: User | AnonymousUser,
) -> NextStep:
    """Somebody took notice: who commands, and what comes after?"""
    commander = roles(incident.policy_version_id).commander
    if was_paged:
        answer = Button("I am here", "acknowledge", style="primary lg", icon="check")
        return NextStep(
            "You were paged in", "Say that you are here, then look at the timeline.", "accent", "call", (answer,)
        )
    if assignment is None:
        text = f"Somebody answered, but nobody is {commander.name}."
        take = Button("Take command", "take-role", {"role": commander.slug}, "primary lg", icon="person_raised_hand")
        buttons = (take,) if powers.command else ()
        return NextStep("Nobody commands", text, "danger", "person_off", buttons)
    if assignment.user_id == user.pk:
        return _commanding(incident)
    return NextStep(
        f"{assignment.user.name} commands", "Post what you see and what you do; ask before you change anything.",
        "calm", "support_agent",
    )  # fmt: skip


def _resolved(incident: Incident, powers: Powers) -> NextStep:
    assert incident.resolved_at is not None
    lasted = span_text((incident.resolved_at - incident.detected_at).total_seconds())
    reopen = Button("Reopen", "reopen", opens="reopen", icon="restart_alt")
    return NextStep(
        "Resolved", f"It lasted {lasted}. Reopen it if the same thing comes back.", "ok", "task_alt",
        (reopen,) if powers.command else (),
    )  # fmt: skip


def _proposed(powers: Powers, take: Button | None) -> NextStep:
    text = "All its alerts have cleared. Check that people can use it again, then end it."
    buttons: tuple[Button, ...] = ()
    if powers.command:
        resolve = Button("Resolve now", "resolve", style="ok lg", opens="resolve", icon="task_alt")
        buttons = (resolve, Button("Keep it open", "keep-open"), *((take,) if take else ()))
    return NextStep("Ready to resolve?", text, "ok", "task_alt", buttons)


def _unanswered(powers: Powers, take: Button, *, was_paged: bool) -> NextStep:
    buttons: list[Button] = []
    if powers.respond or was_paged:
        buttons.append(Button("Acknowledge", "acknowledge", style="danger lg", icon="check"))
    if powers.command:
        buttons.append(Button(take.label, take.verb, take.fields, "lg", icon=take.icon))
    text = "You were paged." if was_paged else "Acknowledge it, so that everybody knows somebody is on it."
    if was_paged:
        text += " Acknowledge, and escalation stops."
    return NextStep("Nobody has acknowledged", text, "danger", "notifications_active", tuple(buttons))


def _commanding(incident: Incident) -> NextStep:
    after = _AFTER.get(Incident.Phase(incident.phase))
    if after is None:
        resolve = Button("Resolve", "resolve", style="ok lg", opens="resolve", icon="task_alt")
        return NextStep("You command", "When it has held, resolve it.", "calm", "support_agent", (resolve,))
    phase, text = after
    label = lifecycle(incident.policy_version_id).labels[phase]
    move = Button(f"Go on to {label}", "set-phase", {"phase": str(phase)}, "primary lg", icon="arrow_forward")
    return NextStep("You command", text, "calm", "support_agent", (move,))
