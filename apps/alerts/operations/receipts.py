"""Receipts that wait for a person."""

from __future__ import annotations

from apps.alerts.models import Receipt
from apps.engine.bell import ring
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, NotFound
from apps.foundation.operations import operation
from apps.people.permissions import require


@operation
def retry_receipt(receipt_id: int, *, actor: Actor, reason: str = "") -> Receipt:
    """Have a receipt that was set aside handled again, soon; the sweeper is rung. One that waits already stays so.

    Needs `alerts.retry_receipt`. NotFound where there is none, Conflict where it was handled.
    """
    receipt = Receipt.objects.select_for_update(no_key=True).filter(pk=receipt_id).first()
    if receipt is None:
        raise NotFound(f"There is no receipt {receipt_id}.")
    require(actor, "alerts.retry_receipt")
    if receipt.state == Receipt.State.DONE:
        raise Conflict(f"Receipt {receipt_id} was handled already.")
    if receipt.state == Receipt.State.REJECTED:
        receipt.state = Receipt.State.NEW
        receipt.save(update_fields=["state"])
    ring("alerts.group", "timers")
    return receipt
