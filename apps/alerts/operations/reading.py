"""Receipts back into what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from apps.alerts.documents import BadPayload, parse
from apps.alerts.episodes import Sighting
from apps.alerts.models import Integration, Receipt
from apps.alerts.payloads import ChangeEvent, read_alertmanager, read_change, read_generic


@dataclass(slots=True)
class Reading:
    """What a batch of receipts of one integration says. `unreadable` maps receipts to the reason."""

    sightings: dict[str, list[Sighting]] = field(default_factory=dict)
    changes: list[tuple[Receipt, ChangeEvent]] = field(default_factory=list)
    unreadable: dict[int, str] = field(default_factory=dict)


def read(kind: str, receipts: Iterable[Receipt]) -> Reading:
    """Read receipts in the order of their ids; one that can't be understood is set aside and hinders no other.

    Of several mentions of one alert in one payload the last counts.
    """
    found = Reading()
    for receipt in receipts:
        try:
            document = parse(bytes(receipt.body))
            if kind == Integration.Kind.CHANGE:
                found.changes += [(receipt, event) for event in read_change(document)]
                continue
            events = read_alertmanager(document) if kind == Integration.Kind.ALERTMANAGER else read_generic(document)
        except BadPayload as error:
            found.unreadable[receipt.pk] = str(error)
            continue
        for event in {event.dedup_key: event for event in events}.values():
            sighting = Sighting(receipt.pk, receipt.received_at, event)
            found.sightings.setdefault(event.dedup_key, []).append(sighting)
    return found
