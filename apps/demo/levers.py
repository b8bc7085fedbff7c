"""What the demo organisation can pull in an emergency, as data: kill switches and the button that rolls back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SwitchPlan:
    key: str
    name: str
    team: str
    services: tuple[str, ...]
    description: str
    blast_radius: str
    rollback_expectation: str


@dataclass(frozen=True, slots=True)
class ConfigPlan:
    slug: str
    name: str
    description: str
    service: str
    environment: str
    capture_every_seconds: int


@dataclass(frozen=True, slots=True)
class ButtonPlan:
    slug: str
    name: str
    runbook: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=dict)


SWITCHES = (
    SwitchPlan(
        "payments.checkout",
        "Checkout",
        "payments",
        ("payments", "shop"),
        "Players can buy in the shop.",
        "Nobody can buy anything; carts and prices stay visible. About 40 purchases a minute are lost at peak.",
        "Checkout closes within 2 seconds and running payments end normally. Bringing it back needs nothing else.",
    ),
    SwitchPlan(
        "events.world-boss",
        "World boss",
        "live-operations",
        ("live-events", "matchmaking"),
        "The world boss can be met.",
        "The boss leaves for everybody, fights end without loot. Players wait six hours for the next one.",
        "Servers calm down within a minute. Bring it back outside peak hours; it returns with full health.",
    ),
    SwitchPlan(
        "combat.attacks",
        "Attacks between players",
        "game-platform",
        ("game-api", "matchmaking"),
        "Players can attack each other.",
        "Every fight between players stops; about a third of all who are online do that. Monsters can still be fought.",
        "Fights end as draws within 5 seconds and nobody loses anything. Ranks are computed anew once it is back.",
    ),
    SwitchPlan(
        "diplomacy.treaties",
        "Treaties between guilds",
        "live-operations",
        ("game-api",),
        "Guilds can sign and break treaties.",
        "Only guild leaders notice: treaties stand as they are and nobody can sign or break one.",
        "Instant. Requests that were made meanwhile are lost and must be made again.",
    ),
)

ECONOMY = ConfigPlan(
    "economy",
    "Economy",
    "Drop rates, gold and prices of the game. The world obeys it the moment it is changed.",
    "game-api",
    "production",
    10,
)


@dataclass(frozen=True, slots=True)
class EntityPlan:
    slug: str
    name: str
    kind: str
    description: str
    service: str
    environment: str
    snapshot_every_seconds: int


ENTITIES = (
    EntityPlan(
        "players",
        "Players",
        "player",
        "Gold, items and progress of every player, as the demo world holds them.",
        "player-profiles",
        "production",
        3600,
    ),
    EntityPlan(
        "villages",
        "Villages",
        "village",
        "Stores, walls and owners of every village, as the demo world holds them.",
        "game-api",
        "production",
        0,
    ),
)

BUTTONS = (
    ButtonPlan(
        "roll-economy-back",
        "Roll the economy config back",
        "economy-rollback",
        "Puts the economy config back to its baseline and proves that the world is well. A second person approves it.",
    ),
    ButtonPlan(
        "pause-storm-trails",
        "Pause the photo contest",
        "event-pause",
        "Storm Trails takes nothing more, and its players read why.",
    ),
    ButtonPlan(
        "resume-storm-trails",
        "Resume the photo contest",
        "event-resume",
        "Storm Trails goes on, and its players read so.",
    ),
    ButtonPlan(
        "pause-payments",
        "Pause payments",
        "flag-kill",
        "Closes the checkout: nobody can buy, so no purchase fails.",
        {"flag": "payments.checkout"},
    ),
    ButtonPlan(
        "freeze-attacks",
        "Freeze attacks",
        "flag-kill",
        "Players fight monsters only; fights that go on end as draws.",
        {"flag": "combat.attacks"},
    ),
)

# Who owns a shipped runbook, and for which services it is offered.
RUNBOOK_OWNER = "game-platform"
RUNBOOK_SERVICES = {
    "api-performance": ("game-api", "matchmaking"),
    "budget": ("game-api", "matchmaking"),
    "data-corruption": ("player-profiles",),
    "database": ("player-profiles",),
    "economy-rollback": ("game-api", "live-events"),
    "event-pause": ("live-events",),
    "event-resume": ("live-events",),
    "exploit": ("game-api",),
    "hotfix": ("game-api", "live-events"),
    "login-outage": ("game-api",),
    "payment-failure": ("payments", "shop"),
    "rate-limiting": ("game-api",),
    "service-restart": ("game-api", "matchmaking"),
    "tick-backlog": ("game-api", "matchmaking"),
}
