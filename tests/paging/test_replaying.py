"""The five packs on the simulated clock: who is paged at which second on which channels, nothing more, nothing less.

The tables are written by hand from the documents. Operations, timers, sweeps and deliveries are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from apps.catalog.models import Service, Team
from apps.engine.models import Timer
from apps.engine.operations import deliver
from apps.engine.sweep import fire_timers
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, use_clock
from apps.incidents import operations
from apps.incidents.models import Incident
from apps.messaging.models import Message
from apps.paging.models import EscalationRun, Page
from apps.people.models import ContactPoint, User
from apps.policies.models import PolicyVersion
from apps.policies.operations import shipped_packs
from tests.factories import actor, answers_for, pack, person, service, team

pytestmark = pytest.mark.django_db

SYSTEM = Actor.system()
ALL = "discord email pagerduty slack"
MINUTE, HOUR = 60, 3600
Row = tuple[int, str, str]


def shipped(letter: str, *replaced: tuple[str, str]) -> PolicyVersion:
    text = next(path for path in shipped_packs() if path.stem.startswith(f"{letter}-")).read_text(encoding="utf-8")
    for old, new in replaced:
        assert old in text, old
        text = text.replace(old, new)
    return pack(text)


@dataclass
class Replay:
    """One incident under a pack. Each role of it is a person of that name, who can be reached on four channels."""

    clock: ManualClock
    version: PolicyVersion
    team: Team = field(default_factory=lambda: team("Core"))
    people: dict[str, User] = field(default_factory=dict)
    script: dict[int, Callable[[], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        escalation = self.version.document["escalation"]
        for call in [*escalation["path"], *escalation.get("triggers", [])]:
            for role in call.get("roles", []):
                if role not in self.people:
                    self.answer(role)
        self.responder = actor(person("commander"))

    def answer(self, role: str, of: Team | None = None, name: str = "") -> None:
        user = person(username=name or role)
        for kind in ALL.split():
            ContactPoint.objects.create(user=user, kind=kind, address=f"{kind}:{user.username}")
        answers_for(role, user, of or self.team)
        self.people[name or role] = user

    def declare(self, severity: str, *services: Service) -> Incident:
        self.began = self.clock()
        self.incident = operations.declare(
            "Down", severity, team_id=self.team.pk, service_ids=[row.pk for row in services],
            policy_version_id=self.version.pk, actor=SYSTEM,
        )  # fmt: skip
        return self.incident

    def at(self, second: int, verb: Callable[..., object], *given: object, **named: object) -> None:
        """Do something `second` seconds after the start."""
        self.script[second] = lambda: verb(self.incident.pk, *given, actor=self.responder, **named)

    def run(self, seconds: int) -> list[Row]:
        """Step from one due time to the next until the end; every sweep is done twice over."""
        end = self.began + timedelta(seconds=seconds)
        while (at := self._next(end)) is not None:
            self.clock.move_to(at)
            for _ in range(2):
                while fire_timers() + deliver():
                    pass
            second = round((at - self.began).total_seconds())
            if second in self.script:
                self.script.pop(second)()
        self.clock.move_to(end)
        while deliver():
            pass
        assert fire_timers() == 0
        return self.paged()

    def _next(self, end: datetime) -> datetime | None:
        due = Timer.objects.filter(state="pending", try_at__lte=end).values_list("try_at", flat=True)
        moments = [max(at, self.clock()) for at in due] + [self.began + timedelta(seconds=s) for s in self.script]
        return min((at for at in moments if at <= end), default=None)

    def paged(self) -> list[Row]:
        names = {user.pk: name for name, user in self.people.items()}
        sent: dict[int, set[str]] = {}
        # Others tell people of other things meanwhile, such as contacts that nobody has verified.
        for channel, payload in Message.objects.exclude(channel="inbox").values_list("channel", "payload"):
            if "page_id" in payload:
                sent.setdefault(payload["page_id"], set()).add(channel)
        return [
            (
                round((page.created_at - self.began).total_seconds()),
                names[page.user_id],
                " ".join(sorted(sent.get(page.pk, set()))),
            )
            for page in Page.objects.order_by("pk")
        ]


Start = Callable[..., Replay]


@pytest.fixture
def replay(db: None) -> Iterator[Start]:
    clock = ManualClock(datetime(2026, 5, 4, 14, 23, tzinfo=UTC))
    with use_clock(clock):
        yield lambda letter, *replaced: Replay(clock, shipped(letter, *replaced))


# --- A: "Critical (P0) | On-call engineer | On-call manager | Director of Eng | CTO/VP Eng" at 0, 30, 60, 90 min

_P0, _P1, _P2 = "email pagerduty slack", "pagerduty slack", "slack"


@pytest.mark.parametrize(
    ("severity", "table"),
    [
        ("P0", [(0, "primary", _P0), (1800, "manager", _P0), (3600, "director", _P0), (5400, "cto", _P0)]),
        ("P1", [(0, "primary", _P1), (1800, "manager", _P1), (3600, "director", _P1)]),
        ("P2", [(0, "primary", _P2), (1800, "manager", _P2)]),
    ],
)
def test_pack_a_escalates_by_its_matrix(replay: Start, severity: str, table: list[Row]) -> None:
    found = replay("a")
    found.declare(severity)
    assert found.run(24 * HOUR) == table


@pytest.mark.parametrize(
    ("severity", "table"),
    [
        ("P0", [(0, "primary", _P0), (1800, "manager", _P0), (3600, "director", _P0), (5400, "cto", _P0)]),
        ("P1", [(0, "primary", _P1), (3600, "manager", _P1), (3600, "director", _P1)]),
        ("P2", [(0, "primary", _P2), (5400, "manager", _P2)]),
    ],
)
def test_pack_a_read_as_a_gate_escalates_nothing_before_the_severitys_own_limit(
    replay: Start, severity: str, table: list[Row]
) -> None:
    found = replay("a", ("basis: matrix", "basis: gate"))
    found.declare(severity)
    assert found.run(24 * HOUR) == table


def test_pack_a_goes_on_after_an_acknowledgement_and_stops_when_resolved(replay: Start) -> None:
    found = replay("a")
    found.declare("P0")
    found.at(300, operations.acknowledge)
    found.at(45 * MINUTE, operations.resolve)
    assert found.run(24 * HOUR) == [(0, "primary", _P0), (1800, "manager", _P0)]
    assert set(EscalationRun.objects.values_list("state", flat=True)) == {"stopped"}
    assert not Timer.objects.filter(kind="paging.escalate", state="pending").exists()


# --- B: "primary/secondary rotations", "paging policies (SLA by severity)"


@pytest.mark.parametrize(("severity", "second"), [("S1", 300), ("S2", 900), ("S3", 3600)])
def test_pack_b_pages_the_secondary_when_the_limit_of_the_severity_has_passed(
    replay: Start, severity: str, second: int
) -> None:
    found = replay("b")
    found.declare(severity)
    assert found.run(24 * HOUR) == [(0, "primary", ALL), (second, "secondary", ALL)]


def test_pack_b_stops_at_the_acknowledgement(replay: Start) -> None:
    found = replay("b")
    found.declare("S1")
    found.at(299, operations.acknowledge)
    assert found.run(24 * HOUR) == [(0, "primary", ALL)]


# --- C: "IC assesses severity, declares incident, and pages required roles"

_REQUIRED = {
    "SEV-1": ["operations-engineer", "commander", "communications-lead", "security-engineer"],
    "SEV-2": ["operations-engineer", "commander", "communications-lead"],
    "SEV-3": ["operations-engineer"],
}


@pytest.mark.parametrize("severity", list(_REQUIRED))
def test_pack_c_pages_the_required_roles_and_repeats_it_twice(replay: Start, severity: str) -> None:
    found = replay("c")
    found.declare(severity)
    table = [(second, role, ALL) for second in (0, 600, 1200) for role in _REQUIRED[severity]]
    assert found.run(24 * HOUR) == table


def test_pack_c_stops_at_the_acknowledgement(replay: Start) -> None:
    found = replay("c")
    found.declare("SEV-2")
    found.at(601, operations.acknowledge)
    assert found.run(24 * HOUR) == [(second, role, ALL) for second in (0, 600) for role in _REQUIRED["SEV-2"]]


# --- D: four levels; "exceeds response time SLA", "no progress after 2 hours", several systems, security, data loss


@pytest.mark.parametrize(
    ("severity", "table"),
    [
        ("P0", [(0, "primary", ALL), (900, "secondary", ALL), (7200, "manager", ALL), (14400, "executive", ALL)]),
        ("P1", [(0, "primary", ALL), (3600, "secondary", ALL), (7200, "manager", ALL), (14400, "executive", ALL)]),
        ("P2", [(0, "primary", ALL), (14400, "secondary", ALL)]),
        ("P3", [(0, "primary", ALL), (86400, "secondary", ALL)]),
    ],
)
def test_pack_d_escalates_when_nobody_answers_and_nothing_moves(replay: Start, severity: str, table: list[Row]) -> None:
    found = replay("d")
    found.declare(severity)
    assert found.run(48 * HOUR) == table


def test_pack_d_counts_two_hours_from_the_last_thing_that_happened(replay: Start) -> None:
    found = replay("d")
    found.declare("P0")
    found.at(600, operations.acknowledge)
    found.at(7000, operations.post, "The replica is rebuilt")
    found.at(20000, operations.resolve)
    assert found.run(48 * HOUR) == [(0, "primary", ALL), (14200, "secondary", ALL)]


@pytest.mark.parametrize("condition", ["security", "data_loss", "several_services"])
def test_pack_d_calls_the_next_level_at_once_for_what_a_person_says(replay: Start, condition: str) -> None:
    found = replay("d")
    found.declare("P2")
    found.at(60, operations.acknowledge)
    found.at(180, operations.mark_condition, condition)
    assert found.run(48 * HOUR) == [(0, "primary", ALL), (180, "secondary", ALL)]


# --- E: five levels at 0, 5, 10, 15, 30 min, and eight triggers


def e_table(*rows: tuple[int, str]) -> list[Row]:
    return [(second, name, ALL) for second, name in rows]


@pytest.mark.parametrize(
    ("severity", "table"),
    [
        # "MTTR target exceeded | Notify engineering manager | +5 minutes (P0)" comes before the path's 10 minutes.
        ("P0", [(0, "primary"), (300, "secondary"), (300, "manager"), (900, "vp_engineering"), (1800, "executive")]),
        ("P1", [(0, "primary"), (300, "secondary"), (600, "manager"), (900, "vp_engineering")]),
        ("P2", [(0, "primary"), (300, "secondary"), (600, "manager")]),
        ("P3", [(0, "primary")]),
        ("P4", []),
    ],
)
def test_pack_e_escalates_by_its_path(replay: Start, severity: str, table: list[tuple[int, str]]) -> None:
    found = replay("e")
    found.declare(severity)
    assert found.run(24 * HOUR) == e_table(*table)


@pytest.mark.parametrize(
    ("condition", "given", "extra"),
    [
        # "Auto-remediation fails | Page senior SRE | +2 minutes": before the path's 5 minutes, and once.
        ("auto_remediation_failed", {}, [(160, "secondary")]),
        # "Revenue impact >$10k | Notify VP Engineering | +10 minutes": before the path's 15 minutes, and once.
        ("revenue", {"amount": 10_001}, [(640, "vp_engineering")]),
        ("revenue", {"amount": 10_000}, []),
        # "Public relations risk | Notify CEO/PR | +15 minutes"
        ("public_relations", {}, [(940, "ceo"), (940, "pr")]),
        # "Data loss suspected | Page DBA + CISO | Immediate"
        ("data_loss", {}, [(40, "dba"), (40, "ciso")]),
        # "Security incident | Page security team | Immediate"
        ("security", {}, [(40, "security")]),
    ],
)
def test_pack_e_triggers_call_whom_the_document_names_after_its_delay(
    replay: Start, condition: str, given: dict[str, int], extra: list[tuple[int, str]]
) -> None:
    found = replay("e")
    found.declare("P1")
    found.at(40, operations.mark_condition, condition, **given)
    path = [(0, "primary"), (300, "secondary"), (600, "manager"), (900, "vp_engineering")]
    named = {name for _, name in extra}
    assert sorted(found.run(24 * HOUR)) == sorted(e_table(*[row for row in path if row[1] not in named], *extra))


def test_pack_e_pages_the_owners_of_several_services_after_five_minutes(replay: Start) -> None:
    # "Multi-service impact | Page service owners | +5 minutes"
    found = replay("e")
    store = service("Store")
    found.answer("primary", store.owner, "store-primary")
    found.declare("P3", service("Login", owner=found.team), store)
    assert found.run(24 * HOUR) == e_table((0, "primary"), (300, "store-primary"))


def test_pack_e_outlasts_the_acknowledgement_and_stops_when_resolved(replay: Start) -> None:
    found = replay("e")
    found.declare("P1")
    found.at(20, operations.acknowledge)
    found.at(40, operations.mark_condition, "public_relations")
    found.at(700, operations.resolve)
    assert found.run(24 * HOUR) == e_table((0, "primary"), (300, "secondary"), (600, "manager"))


def test_what_is_taken_back_before_its_delay_calls_nobody(replay: Start) -> None:
    found = replay("e")
    found.declare("P3")
    found.at(10, operations.mark_condition, "public_relations")
    found.at(500, operations.clear_condition, "public_relations")
    assert found.run(24 * HOUR) == e_table((0, "primary"))


def test_a_target_that_was_met_in_time_calls_nobody_when_it_would_have_passed(replay: Start) -> None:
    found = replay("e", ("target: 5m}", "target: 5m, stop: mitigated}"))
    found.declare("P0")
    found.at(200, operations.mark, "mitigated")
    found.at(700, operations.resolve)
    assert found.run(HOUR) == e_table((0, "primary"), (300, "secondary"), (600, "manager"))
