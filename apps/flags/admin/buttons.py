"""The buttons on the page of a flag: each opens a dialog, and calls one operation."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.flags import operations
from apps.flags.admin.forms import KillForm, ReasonForm, RolloutForm, TryForm
from apps.flags.admin.proposing import PROPOSED
from apps.flags.models import Flag
from apps.flags.operations.approving import demands_approval
from apps.flags.permissions import CHANGE, KILL, user_may
from apps.flags.queries import tried_in_words, try_out
from apps.people.admin.base import PortalModelAdmin


class FlagButtons(PortalModelAdmin):
    """The part of the page that switches; `FlagAdmin` describes."""

    actions_detail: ClassVar[Any] = ("kill", "bring_back", "try_it", "rollout", "disable", "enable")

    def _offers(self, request: HttpRequest, object_id: str | None, permission: str, *states: str) -> bool:
        """Whether a button makes sense: asked for each of four, the row read once for a page."""
        known: dict[str, Flag | None] = request.__dict__.setdefault("portal_switches", {})
        key = str(object_id or "")
        if key not in known:
            known[key] = self.get_object(request, key) if key else None
        flag = known[key]
        return flag is not None and flag.state in states and user_may(request.user, permission, flag)

    def has_kill_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, KILL, Flag.State.ON, Flag.State.DISABLED)

    def has_bring_back_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, KILL, Flag.State.KILLED)

    def _switch_or_propose(
        self, request: HttpRequest, object_id: str, state: str, verb: Any, *, reason: str, done: str
    ) -> HttpResponse:
        """Press the button, or where a second person must approve that, ask for it."""
        if not demands_approval(self.row(request, object_id)):
            return self.press(request, verb, object_id, reason=reason, done=done)
        given = {"at": None, "change": {"state": state}, "reason": reason}
        return self.press(request, operations.schedule_change, object_id, **given, done=PROPOSED)

    def has_disable_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, Flag.State.ON)

    def has_enable_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, Flag.State.DISABLED)

    @action(
        description="Kill",
        icon="power_settings_new",
        variant=ActionVariant.DANGER,
        permissions=["kill"],
        dialog={"title": "Kill this flag?", "form_class": KillForm, "form_submit_text": "Kill it"},
    )
    def kill(self, request: HttpRequest, form: KillForm, object_id: str) -> HttpResponse:
        return self.press(
            request,
            operations.kill,
            object_id,
            reason=form.cleaned_data["reason"],
            done="Killed: every program gets that within 2 seconds.",
        )

    @action(
        description="Bring back",
        icon="power",
        variant=ActionVariant.SUCCESS,
        permissions=["bring_back"],
        dialog={
            "title": "Bring it back?",
            "description": "It answers as before the kill, in every process within 2 seconds.",
            "form_class": ReasonForm,
            "form_submit_text": "Bring it back",
        },
    )
    def bring_back(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        return self.press(
            request,
            operations.bring_back,
            object_id,
            reason=form.cleaned_data["reason"],
            done="It answers as before the kill.",
        )

    def has_try_it_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return bool(object_id)

    @action(
        description="Try it",
        icon="science",
        permissions=["try_it"],
        dialog={
            "title": "What would it answer?",
            "description": "Nothing is changed.",
            "form_class": TryForm,
            "form_submit_text": "Try",
        },
    )
    def try_it(self, request: HttpRequest, form: TryForm, object_id: str) -> HttpResponse:
        flag = self.get_object(request, object_id)
        if flag is not None:
            messages.info(request, tried_in_words(try_out(flag, form.cleaned_data["context"])))
        return self.go_to_row(request, object_id)

    def has_rollout_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, *Flag.State.values)

    @action(
        description="Roll out",
        icon="moving",
        permissions=["rollout"],
        dialog={
            "title": "Roll out in steps",
            "description": "Ever more of those whom no rule meets get the variant; whoever has it keeps it.",
            "form_class": RolloutForm,
            "form_submit_text": "Schedule",
        },
    )
    def rollout(self, request: HttpRequest, form: RolloutForm, object_id: str) -> HttpResponse:
        return self.press(
            request,
            operations.schedule_rollout,
            object_id,
            variant=form.cleaned_data["variant"],
            steps=form.steps,
            reason=form.cleaned_data["reason"],
            done=f"Scheduled: {len(form.steps)} steps.",
        )

    @action(
        description="Disable",
        icon="toggle_off",
        permissions=["disable"],
        dialog={
            "title": "Leave the answer to its callers?",
            "description": "Each program then uses the default in its own code, as before a flag is removed.",
            "form_class": ReasonForm,
            "form_submit_text": "Disable",
        },
    )
    def disable(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        done = "Disabled: callers use their own default."
        reason, verb = form.cleaned_data["reason"], operations.disable
        return self._switch_or_propose(request, object_id, Flag.State.DISABLED, verb, reason=reason, done=done)

    @action(
        description="Enable",
        icon="toggle_on",
        permissions=["enable"],
        dialog={
            "title": "Enable it?",
            "description": "It answers by its definition from now on.",
            "form_class": ReasonForm,
            "form_submit_text": "Enable",
        },
    )
    def enable(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        done = "Enabled: it answers by its definition."
        reason, verb = form.cleaned_data["reason"], operations.enable
        return self._switch_or_propose(request, object_id, Flag.State.ON, verb, reason=reason, done=done)
