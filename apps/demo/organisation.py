"""The demo organisation as data: Emberfall Studios, which runs the game that the demo world is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

MAIL_DOMAIN = "emberfall.example"


@dataclass(frozen=True, slots=True)
class Person:
    username: str
    name: str
    groups: tuple[str, ...]
    team: str
    time_zone: str
    lead: bool = False
    manager: str = ""

    @property
    def email(self) -> str:
        return f"{self.username}@{MAIL_DOMAIN}"


@dataclass(frozen=True, slots=True)
class TeamPlan:
    slug: str
    name: str
    description: str
    time_zone: str
    primary: tuple[str, ...]
    secondary: tuple[str, ...]
    manager: str


@dataclass(frozen=True, slots=True)
class ServicePlan:
    slug: str
    name: str
    description: str
    team: str
    criticality: str
    needs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ChangePlan:
    days_ago: float
    service: str
    kind: str
    title: str
    version: str
    author: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened in a past incident, `after` its declaration."""

    after: timedelta
    who: str
    what: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class PastIncident:
    days_ago: float
    title: str
    severity: str
    services: tuple[str, ...]
    summary: str
    steps: tuple[Step, ...]


PEOPLE = (
    Person(
        "ines", "Ines Okafor", ("responder", "commander"), "game-platform", "Europe/Lisbon", lead=True, manager="omar"
    ),
    Person("marco", "Marco Silva", ("responder",), "game-platform", "America/Sao_Paulo", manager="omar"),
    Person("yuki", "Yuki Tanaka", ("responder",), "game-platform", "Asia/Tokyo", manager="omar"),
    Person("lena", "Lena Fischer", ("responder", "commander"), "payments", "Europe/Berlin", lead=True, manager="omar"),
    Person("noah", "Noah Kim", ("responder",), "payments", "America/Chicago", manager="omar"),
    Person("omar", "Omar Haddad", ("manager", "commander"), "game-platform", "Europe/Lisbon", manager="priya"),
    Person("priya", "Priya Raman", ("manager", "approver"), "live-operations", "Europe/London", lead=True),
    Person("sofia", "Sofia Lindqvist", ("viewer", "approver"), "live-operations", "Europe/Stockholm", manager="priya"),
    Person("tom", "Tom Becker", ("auditor",), "live-operations", "Europe/Berlin", manager="priya"),
)

TEAMS = (
    TeamPlan(
        "game-platform",
        "Game platform",
        "The game's servers: worlds, matchmaking and profiles.",
        "Europe/Lisbon",
        primary=("marco", "yuki"),
        secondary=("ines",),
        manager="omar",
    ),
    TeamPlan(
        "payments",
        "Payments",
        "The shop and everything that moves money.",
        "Europe/Berlin",
        primary=("noah", "lena"),
        secondary=("lena", "noah"),
        manager="omar",
    ),
    TeamPlan(
        "live-operations",
        "Live operations",
        "Events, economy and the community.",
        "Europe/London",
        primary=("ines", "marco"),
        secondary=("lena",),
        manager="priya",
    ),
)

# What a role means where a team says nothing else. Every shipped pack finds its roles: a team may follow any.
COMPANY_ROLES = {
    "vp_engineering": "priya",
    "executive": "sofia",
    "director": "priya",
    "cto": "sofia",
    "commander": "omar",
    "communications-lead": "ines",
    "operations-engineer": "marco",
    "security-engineer": "lena",
    "security": "lena",
    "ciso": "priya",
    "dba": "noah",
    "pr": "ines",
    "ceo": "sofia",
    "economy_lead": "ines",
    "liveops_engineer": "marco",
    "sre_oncall": "yuki",
    "tech_lead": "omar",
    "community_manager": "ines",
    "security_lead": "lena",
}

ENVIRONMENTS = (("production", "Production"), ("staging", "Staging"))

SERVICES = (
    ServicePlan("player-profiles", "Player profiles", "Accounts, inventories, progress.", "game-platform", "critical"),
    ServicePlan("matchmaking", "Matchmaking", "Finds parties and servers.", "game-platform", "high"),
    ServicePlan("payments", "Payments", "Purchases through the payment provider.", "payments", "critical"),
    ServicePlan("live-events", "Live events", "Starts and ends events in the game.", "live-operations", "medium"),
    ServicePlan("shop", "Shop", "What players can buy.", "payments", "high", needs=(("payments", "hard"),)),
    ServicePlan(
        "game-api",
        "Game API",
        "What every game client talks to.",
        "game-platform",
        "critical",
        needs=(("player-profiles", "hard"), ("matchmaking", "hard"), ("shop", "soft"), ("live-events", "soft")),
    ),
)


CHANGES = (
    ChangePlan(21.21, "matchmaking", "deploy", "Matchmaking 4.12.0: shorter time-outs", "4.12.0", "marco"),
    ChangePlan(21.19, "matchmaking", "deploy", "Matchmaking back to 4.11.3", "4.11.3", "ines"),
    ChangePlan(9.7, "shop", "config", "Autumn offers", "offers-2", "priya"),
    ChangePlan(3.39, "payments", "config", "New client certificate for the payment provider", "cert-7", "noah"),
    ChangePlan(1.2, "game-api", "deploy", "Game API 7.3.1", "7.3.1", "yuki"),
)


def _minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


PAST_INCIDENTS = (
    PastIncident(
        21.2,
        "Players are thrown out of matches",
        "P1",
        ("matchmaking", "game-api"),
        "Half of all matches end after two minutes since the evening's deployment.",
        (
            Step(_minutes(2), "marco", "acknowledge"),
            Step(_minutes(4), "ines", "command"),
            Step(_minutes(5), "marco", "post", "Matches end when the heartbeat of a client is 2 s late. It was 10 s."),
            Step(_minutes(6), "ines", "phase", "mitigating"),
            Step(_minutes(7), "marco", "post", "The new time-out came with this evening's deployment. Rolling back."),
            Step(_minutes(12), "ines", "phase", "validating"),
            Step(_minutes(14), "marco", "post", "No thrown-out player for two minutes."),
            Step(_minutes(15), "ines", "resolve", "Rolled back. The time-out will be part of the config's checks."),
        ),
    ),
    PastIncident(
        9.6,
        "The shop shows yesterday's prices",
        "P3",
        ("shop",),
        "A cache was not emptied when the offers changed.",
        (
            Step(_minutes(11), "noah", "acknowledge"),
            Step(_minutes(13), "noah", "post", "The offer cache keeps entries for a day. Emptying it by hand."),
            Step(_minutes(19), "lena", "command"),
            Step(_minutes(22), "lena", "resolve", "Prices are right again. We will key the cache by offer version."),
        ),
    ),
    PastIncident(
        3.4,
        "Purchases fail at the payment provider",
        "P0",
        ("payments", "shop"),
        "Every purchase is refused. The provider says nothing yet.",
        (
            Step(_minutes(1), "noah", "acknowledge"),
            Step(_minutes(2), "lena", "command"),
            Step(_minutes(3), "noah", "post", "Our client certificate at the provider expired at midnight."),
            Step(_minutes(4), "lena", "phase", "mitigating"),
            Step(_minutes(9), "noah", "post", "The new certificate is live. First purchases go through."),
            Step(_minutes(10), "lena", "phase", "validating"),
            Step(_minutes(16), "lena", "resolve", "Purchases are back to normal. 412 players got their money back."),
        ),
    ),
)
