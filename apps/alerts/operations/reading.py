"""Receipts back into what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from apps.alerts.documents import BadPayload, parse
from apps.alerts.episodes import Sighting
from apps.alerts.models import Integration, Receipt
from apps.alerts.pagerduty import made_key
from apps.alerts.payloads import AlertEvent, ChangeEvent
from apps.alerts.readers import BEAT, RECHECK, reader


@dataclass(slots=True)
class Reading:
    """What a batch of receipts of one integration says. `unreadable` maps receipts to the reason.

    `acknowledged` and `rechecked` are dedup keys: taken by somebody at the source, and to be looked at once more.
    """

    sightings: dict[str, list[Sighting]] = field(default_factory=dict)
    changes: list[tuple[Receipt, ChangeEvent]] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    rechecked: set[str] = field(default_factory=set)
    beats: list[Receipt] = field(default_factory=list)
    unreadable: dict[int, str] = field(default_factory=dict)

    def sight(self, receipt: Receipt, event: AlertEvent) -> None:
        """Take in one mention of an alert."""
        key = event.dedup_key or made_key(receipt.pk)
        if event.status == "acknowledged":
            self.acknowledged.add(key)
            return
        sighting = Sighting(receipt.pk, receipt.received_at, event._replace(dedup_key=key))
        self.sightings.setdefault(key, []).append(sighting)


def read(integration: Integration, receipts: Iterable[Receipt]) -> Reading:
    """Read receipts in the order of their ids; one that can't be understood is set aside and hinders no other.

    Of several mentions of one alert in one payload the last counts. A mapping is that of now: what it can't read any
    more waits for a person.
    """
    found = Reading()
    for receipt in receipts:
        if receipt.form == BEAT:
            found.beats.append(receipt)
            continue
        try:
            document = parse(bytes(receipt.body))
            if receipt.form == RECHECK:
                found.rechecked.update(document)
                continue
            events = reader(integration.kind, receipt.form, integration.mapping)(document)
        except BadPayload as error:
            found.unreadable[receipt.pk] = str(error)
            continue
        last: dict[str, AlertEvent] = {}
        for event in events:
            if isinstance(event, ChangeEvent):
                found.changes.append((receipt, event))
            else:
                last[event.dedup_key] = event
        for event in last.values():
            found.sight(receipt, event)
    return found
