"""What the demo organisation learned from its past incidents, as data: reviews and what was promised in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Promise:
    """An action item, due so many days after the incident's resolution; `outcome` once it is done."""

    title: str
    owner: str
    priority: str
    due_after_days: float
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Lesson:
    """The review of the past incident of this title, written by its owner. `reviewer` accepted it, if `closed`."""

    incident: str
    reviewer: str
    sections: Mapping[str, str]
    promises: tuple[Promise, ...] = field(default=())
    closed: bool = False


LESSONS = (
    Lesson(
        "Players are thrown out of matches",
        "omar",
        {
            "summary": "Matchmaking 4.12.0 cut the time-out of heartbeats from 10 s to 2 s; half of all matches ended.",
            "impact": "About 9,000 players lost a match within 15 minutes. Nobody lost items.",
            "root-cause": "The time-out is part of the config, but no check compares it with what clients really need.",
            "worked-well": "The rollback began within five minutes, because the change stood on the incident's page.",
            "to-improve": "The deployment's canary had too few players to show it.",
            "lessons": "Limits of the config belong into its schema, where a wrong one can't go live.",
            "preventive": "A schema for the config, and a canary with at least 500 players.",
        },
        (
            Promise(
                "Limits for time-outs in the config's schema", "yuki", "P1", 5, "The schema refuses less than 5 s."
            ),
            Promise("A canary with 500 players", "marco", "P2", 9, "Canaries wait until 500 players are in."),
        ),
        closed=True,
    ),
    Lesson(
        "The shop shows yesterday's prices",
        "omar",
        {
            "summary": "The offer cache kept yesterday's offers, because its key had no version.",
            "impact": "64 players bought at the old price. We honoured it.",
            "root-cause": "The cache is keyed by the offer's name, so a changed offer is not a new entry.",
            "worked-well": "A player told us, and support passed it on within ten minutes.",
            "to-improve": "Nothing of ours noticed it.",
            "lessons": "What is cached needs the version in its key.",
            "preventive": "Keys with versions, and a probe that compares the shop with the offers.",
        },
        (Promise("Key the offer cache by version", "noah", "P2", 4, "Live since the Tuesday after."),),
        closed=True,
    ),
    Lesson(
        "Purchases fail at the payment provider",
        "omar",
        {
            "summary": "Our certificate at the payment provider expired at midnight; every purchase was refused.",
            "impact": "412 purchases failed within 16 minutes. All players got their money back.",
            "root-cause": "It was renewed by hand once a year, and its reminder went to a mailbox nobody reads.",
            "worked-well": "Noah knew the provider's error text and had the new certificate live within nine minutes.",
            "to-improve": "The kill switch of the checkout stood unused while purchases failed.",
            "lessons": "Closing the checkout for a while is cheaper than refunds.",
            "preventive": "Certificates renew themselves; an alert 30 days before one expires.",
        },
        (
            Promise("Renew the provider's certificate by a job", "noah", "P1", 2),
            Promise("Alert 30 days before a certificate expires", "lena", "P2", 14),
        ),
    ),
)
