"""Swaps: offered, taken, approved, given back."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.foundation.clock import now
from apps.oncall import operations
from apps.oncall.admin.cover_forms import TakeSwapForm
from apps.oncall.models import Swap
from apps.oncall.permissions import is_editor
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor

_COLOURS = {
    "open": "warning",
    "taken, to be approved": "info",
    "taken": "success",
    "declined": "",
    "withdrawn": "",
    "over": "",
}
_OPEN, _WAITS, _TAKEN = Swap.State.OPEN, Swap.State.TO_APPROVE, Swap.State.TAKEN


@admin.register(Swap)
class SwapAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Time is offered on the page of a rotation; what becomes of it, the buttons here say."""

    list_display = ("rotation", "user", "asked", "taker", "starts_at", "ends_at", "how_far", "reason")
    list_filter = ("state", "rotation")
    list_select_related = ("rotation__team", "user", "asked", "taker")
    search_fields = ("rotation__name", "user__username", "user__display_name", "reason")
    fields = (
        "rotation", "user", "asked", "taker", "starts_at", "ends_at", "how_far", "reason", "created_at", "taken_at",
        "approved_at", "approved_by", "override",
    )  # fmt: skip
    readonly_fields = fields
    actions_detail: ClassVar[Any] = ("take", "approve", "give_back", "decline", "withdraw")

    @display(description="State", label=_COLOURS)
    def how_far(self, swap: Swap) -> str:
        return "over" if swap.state in {_OPEN, _WAITS} and swap.ends_at <= now() else swap.get_state_display()

    # --- who may press what; the operations ask again ---

    def _found(self, request: HttpRequest, object_id: Any, *states: str) -> Swap | None:
        found: Swap | None = self.get_object(request, str(object_id)) if object_id else None
        return found if found is not None and found.state in states and found.ends_at > now() else None

    def _is_for(self, request: HttpRequest, swap: Swap, *user_ids: int | None) -> bool:
        mine = request.user.pk in user_ids and request.user.has_perm("oncall.add_swap")
        return mine or is_editor(request_actor(request), swap.rotation)

    def has_take_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        swap = self._found(request, object_id, _OPEN)
        if swap is None:
            return False
        asked = request.user.pk if swap.asked_id is None and request.user.pk != swap.user_id else swap.asked_id
        return self._is_for(request, swap, asked)

    def has_approve_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        swap = self._found(request, object_id, _WAITS)
        return swap is not None and is_editor(request_actor(request), swap.rotation)

    def has_give_back_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        swap = self._found(request, object_id, _WAITS, _TAKEN)
        return swap is not None and swap.starts_at > now() and self._is_for(request, swap, swap.taker_id)

    def has_decline_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        swap = self._found(request, object_id, _OPEN, _WAITS)
        return swap is not None and self._is_for(request, swap, swap.asked_id)

    def has_withdraw_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        swap = self._found(request, object_id, _OPEN, _WAITS)
        return swap is not None and self._is_for(request, swap, swap.user_id)

    # --- buttons ---

    def _do(self, request: HttpRequest, verb: Any, object_id: str, done: str, **given: Any) -> HttpResponse:
        swap = self.row(request, object_id)
        self.perform(request, verb, swap.pk, **given, done=done)
        return self.go_to_row(request, object_id)

    @action(
        description="Take it",
        icon="front_hand",
        permissions=["take"],
        dialog={
            "title": "Take this time?",
            "description": "You are on call then instead.",
            "form_class": TakeSwapForm,
            "form_submit_text": "Take it",
        },
    )
    def take(self, request: HttpRequest, form: TakeSwapForm, object_id: str) -> HttpResponse:
        user = form.cleaned_data["user"]
        return self._do(
            request, operations.take_swap, object_id, "The time is taken.", user_id=user.pk if user else None
        )

    @action(
        description="Approve",
        icon="check_circle",
        permissions=["approve"],
        dialog={"title": "Approve this swap?", "description": "It holds from then on."},
    )
    def approve(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._do(request, operations.approve_swap, object_id, "The swap holds.")

    @action(
        description="Give back",
        icon="undo",
        permissions=["give_back"],
        dialog={"title": "Give this time back?", "description": "The offer is open again."},
    )
    def give_back(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._do(request, operations.give_back_swap, object_id, "The offer is open again.")

    @action(
        description="Decline",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["decline"],
        dialog={"title": "Decline this offer?", "description": "Whoever made it may make another."},
    )
    def decline(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._do(request, operations.decline_swap, object_id, "The offer is declined.")

    @action(
        description="Withdraw",
        icon="delete",
        variant=ActionVariant.DANGER,
        permissions=["withdraw"],
        dialog={"title": "Take this offer back?", "description": "Nobody can take it then."},
    )
    def withdraw(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        return self._do(request, operations.withdraw_swap, object_id, "The offer is withdrawn.")
