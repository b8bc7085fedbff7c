"""What must hold afterwards, read from the rows and from what the receiving servers wrote down."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.rig import Rig
from tests.fault.chaos import Told
from tests.fault.clients import Clients
from tests.fault.moody import TAKEN, Came, Mood
from tests.fault.world import DEMANDED

# From here on a page that was due before somebody answered, and was never made, is lost and not only late.
HOPELESSLY_LATE_SECONDS = 30.0
NO_OUTCOME = "The worker that tried it stopped%"

_RUNS = """
SELECT id, subject_key::int AS incident, run, state, extract(epoch FROM started_at)::float AS started,
       extract(epoch FROM ended_at)::float AS ended
FROM paging_escalationrun WHERE track = 'page'
"""
_PAGES = """
SELECT p.id, p.escalation_id AS escalation, p.run, p.step, p.level, p.role, p.state,
       extract(epoch FROM p.due_at)::float AS due, extract(epoch FROM p.created_at)::float AS created
FROM paging_page p ORDER BY p.id
"""
_MESSAGES = """
SELECT m.id, (m.payload->>'page_id')::int AS page, (m.payload->>'bundle_id')::int AS bundle, m.channel,
       m.state, m.dedupe_key, m.maybe_sent_at IS NOT NULL AS maybe, m.fallback_at IS NOT NULL AS fallback, m.attempts,
       (SELECT count(*) FROM messaging_attempt a WHERE a.message_id = m.id AND a.outcome = 'unknown') AS unknown,
       (SELECT count(*) FROM messaging_attempt a WHERE a.message_id = m.id AND a.outcome = 'unknown'
        AND a.detail LIKE %s) AS orphaned,
       extract(epoch FROM (SELECT min(a.started_at) FROM messaging_attempt a WHERE a.message_id = m.id) - m.created_at
       )::float AS waited
FROM messaging_message m WHERE m.channel IN ('email', 'webhook') AND m.endpoint_id IS NULL
"""
# In a storm one mail tells of several pages.
_BUNDLED = "SELECT bundle_id AS bundle, array_agg(page_id) AS pages FROM paging_bundledpage GROUP BY 1"
_WAYS = {"email", "webhook"}
_MORE = re.compile(r"^and \d+ more: ", re.MULTILINE)
_LEFT = {
    "receipts that were not grouped": "SELECT count(*) FROM alerts_receipt WHERE state <> 'done'",
    "timers of escalation": "SELECT count(*) FROM engine_timer WHERE state = 'pending' AND kind = 'paging.escalate'",
    "timers that wait for a person": "SELECT count(*) FROM engine_timer WHERE state = 'failed'",
    "deliveries": "SELECT count(*) FROM engine_delivery WHERE state <> 'done'",
    "messages": "SELECT count(*) FROM messaging_message WHERE state IN ('queued', 'sending')",
}

_INVARIANTS = """
import json, django
django.setup()
from apps.engine.ticker import check_invariants
print(json.dumps(check_invariants()))
"""


def left(rig: Rig) -> dict[str, int]:
    """What still waits, by what it is; empty once everything has come to rest."""
    found = {what: int(rig.value(sql)) for what, sql in _LEFT.items()}
    return {what: count for what, count in found.items() if count}


def key_of(dedupe_key: str) -> str:
    """The key that the receivers see; written here once more, so that a change of it is noticed."""
    return hashlib.sha256(dedupe_key.encode()).hexdigest()[:40]


@dataclass
class Findings:
    """Everything that is wrong, a sentence each, and the figures."""

    wrong: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    to_acceptance: list[float] = field(default_factory=list)
    maybe_sent: int = 0
    pages: int = 0

    def check(self, *, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)


def percentiles(values: Sequence[float]) -> str:
    """p50, p95 and the largest, in seconds."""
    if not values:
        return "nothing measured"
    ordered = sorted(values)
    p50, p95 = (ordered[min(int(len(ordered) * part), len(ordered) - 1)] for part in (0.5, 0.95))
    return f"p50 {p50:.2f} s, p95 {p95:.2f} s, max {ordered[-1]:.2f} s"


def look(rig: Rig, clients: Clients, came: Sequence[Came], told: Told) -> Findings:
    """Check it all."""
    found = Findings()
    runs = {row["id"]: row for row in rig.query(_RUNS)}
    pages = rig.query(_PAGES)
    messages = rig.query(_MESSAGES, NO_OUTCOME)
    bundles = {row["bundle"]: row["pages"] for row in rig.query(_BUNDLED)}
    for message in messages:
        # A bundle of which one page was left when it was sent names that page, too; it stands for all of them.
        message["pages"] = bundles.get(message["bundle"], []) if message["bundle"] else [message["page"]]
    found.pages = len(pages)
    _alerts(found, rig, clients)
    _answers(found, runs, clients)
    _pages(found, runs, pages)
    _messages(found, runs, pages, messages, came)
    _bundles(found, runs, pages, messages, came)
    _repeats(found, messages, came, told)
    _engine(found, rig)
    _figures(found, pages, told)
    return found


def _alerts(found: Findings, rig: Rig, clients: Clients) -> None:
    """Every alert that was answered with 202 is there once, in an incident of its own."""
    rows = rig.query(
        "SELECT a.dedup_key, count(*) AS n, count(g.incident_id) AS housed, count(DISTINCT g.incident_id) AS incidents "
        "FROM alerts_alert a LEFT JOIN alerts_alertgroup g ON g.id = a.group_id GROUP BY 1"
    )
    there = {int(row["dedup_key"], 16): row for row in rows}
    lost = sorted(clients.accepted - there.keys())
    found.check(holds=not lost, otherwise=f"accepted alerts are lost: {lost[:20]}")
    loose = [number for number, row in there.items() if (row["n"], row["housed"], row["incidents"]) != (1, 1, 1)]
    found.check(holds=not loose, otherwise=f"alerts without an incident of their own: {loose[:20]}")
    incidents = rig.value("SELECT count(*) FROM incidents_incident")
    found.check(holds=incidents == len(there), otherwise=f"{len(there)} alerts made {incidents} incidents")
    wait = rig.query(
        "SELECT extract(epoch FROM i.declared_at - a.fired_at)::float AS s FROM alerts_alert a "
        "JOIN alerts_alertgroup g ON g.id = a.group_id JOIN incidents_incident i ON i.id = g.incident_id"
    )
    found.figures.append(
        f"{len(clients.accepted)} alerts accepted, {clients.repeats} requests repeated by the clients; received → "
        f"incident with its first page: {percentiles([row['s'] for row in wait])}"
    )


def _answers(found: Findings, runs: dict[int, Any], clients: Clients) -> None:
    """What somebody was told to be done is done."""
    by_incident = {row["incident"]: row for row in runs.values()}
    ends = {"acknowledge": "acknowledged", "resolve": "stopped", "clear": "stopped"}
    for incident, action in clients.done.items():
        run = by_incident.get(incident)
        done = run is not None and run["state"] == ends[action]
        found.check(holds=done, otherwise=f"incident {incident}: {action} was answered with success, but {run}")
    counted = Counter(clients.done.values())
    found.figures.append(", ".join(f"{count} × {action}" for action, count in sorted(counted.items())) + " answered")


def _pages(found: Findings, runs: dict[int, Any], pages: list[dict[str, Any]]) -> None:
    """Each run made the pages that the path demands, each once, none after its end, and none is missing."""
    by_run: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for page in pages:
        by_run[page["escalation"]].append(page)
    for pk, run in runs.items():
        made = Counter((round(page["due"] - run["started"]), page["level"], page["role"]) for page in by_run[pk])
        demanded = {(due.after_seconds, due.level, due.role) for due in DEMANDED}
        twice = [what for what, count in made.items() if count > 1]
        found.check(holds=not twice, otherwise=f"run {pk} paged twice: {twice}")
        found.check(holds=made.keys() <= demanded, otherwise=f"run {pk} made pages nobody asked for: {made}")
        answered = run["state"] in {"acknowledged", "stopped"}
        for after, level, role in sorted(demanded - made.keys()):
            due = run["started"] + after
            excused = answered and run["ended"] - due < HOPELESSLY_LATE_SECONDS
            found.check(holds=excused, otherwise=f"run {pk} lost its page of {role} (level {level}, due {due}): {run}")
        late = [page for page in by_run[pk] if answered and page["created"] > run["ended"]]
        found.check(holds=not late, otherwise=f"run {pk} ended at {run['ended']}, and then made {late}")
        over = answered or run["state"] == "exhausted"
        found.check(holds=over, otherwise=f"run {pk} never came to its end: {run}")
        found.late += [page["created"] - page["due"] for page in by_run[pk]]


def _messages(
    found: Findings,
    runs: dict[int, Any],
    pages: list[dict[str, Any]],
    messages: list[dict[str, Any]],
    came: Sequence[Came],
) -> None:
    """Every page has its messages; each was received, or failed and the person's other ways were called, or is void."""
    first: dict[str, float] = {}
    for item in came:
        if item.mood in TAKEN:
            first[item.key] = min(item.at, first.get(item.key, item.at))
    # What still asks for an answer when everything is at rest must not have become void.
    asking = {
        page["id"] for page in pages if page["state"] == "open" and runs[page["escalation"]]["run"] == page["run"]
    }
    by_page: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        for page_id in message["pages"]:
            by_page[page_id].append(message)
        key, state, pk = key_of(message["dedupe_key"]), message["state"], message["id"]
        if state == "sent":
            found.check(holds=key in first, otherwise=f"message {pk} is sent, but nobody received it")
        elif state == "failed":
            found.check(holds=message["fallback"], otherwise=f"message {pk} failed without a fallback")
        elif state == "void":
            wanted = asking.intersection(message["pages"])
            found.check(holds=not wanted, otherwise=f"message {pk} is void, but pages {wanted} still ask")
        else:
            found.check(holds=False, otherwise=f"message {pk} is still {state}")
    unreached = 0
    for page in pages:
        mine = by_page.get(page["id"], [])
        ways = {message["channel"] for message in mine}
        found.check(holds=ways == _WAYS, otherwise=f"page {page['id']} goes by {ways} only")
        arrived = [first[key] for message in mine if (key := key_of(message["dedupe_key"])) in first]
        if arrived:
            found.to_acceptance.append(min(arrived) - page["created"])
        elif all(message["state"] == "failed" for message in mine):
            unreached += 1
        else:
            void = page["id"] not in asking and any(message["state"] == "void" for message in mine)
            found.check(holds=void, otherwise=f"page {page['id']} reached nobody: {mine}")
    bundled = sum(len(message["pages"]) > 1 for message in messages)
    found.figures.append(f"{bundled} mails told of several pages")
    found.figures.append(f"{unreached} pages were refused for good on each of their ways, and say so")


def _bundles(
    found: Findings,
    runs: dict[int, Any],
    pages: list[dict[str, Any]],
    messages: list[dict[str, Any]],
    came: Sequence[Came],
) -> None:
    """A mail for several pages names each that still asked for an answer when it came."""
    texts: dict[str, list[Came]] = defaultdict(list)
    for item in came:
        if item.mood in TAKEN and item.text:
            texts[item.key].append(item)
    by_id = {page["id"]: page for page in pages}
    named = 0
    for message in messages:
        taken = texts.get(key_of(message["dedupe_key"]), []) if message["bundle"] else []
        for item in taken:
            if _MORE.search(item.text):
                continue  # only the first twenty are listed
            for page in (by_id[pk] for pk in message["pages"]):
                run = runs[page["escalation"]]
                answered = run["state"] in {"acknowledged", "stopped"}
                if answered and run["ended"] <= item.at:
                    continue
                named += 1
                there = f"/incident/{run['incident']}/" in item.text
                found.check(holds=there, otherwise=f"mail {message['id']} came without page {page['id']} of its bundle")
    found.figures.append(f"{named} pages were named by the mails of their bundles")


def _repeats(found: Findings, messages: list[dict[str, Any]], came: Sequence[Came], told: Told) -> None:
    """Whatever a receiver took twice is marked, and each repeat has an attempt that ended without an outcome."""
    took = Counter(item.key for item in came if item.mood in TAKEN)
    known = {key_of(message["dedupe_key"]): message for message in messages}
    strangers = [key for key in took if key not in known]
    found.check(holds=not strangers, otherwise=f"keys of no message were received: {strangers[:5]}")
    twice = {key: count for key, count in took.items() if count > 1}
    for key, count in twice.items():
        message = known.get(key)
        if message is None:
            continue
        found.check(holds=message["maybe"], otherwise=f"message {message['id']} came {count} times, unmarked")
        enough = count - 1 <= message["unknown"]
        found.check(holds=enough, otherwise=f"message {message['id']} came {count} times, but {message}")
    # The outages of the database are like kills: an outcome could not be written down.
    stops = told.sender_kills + len(told.postgres_away) + told.kills["ended by itself"]
    orphaned = max((message["orphaned"] for message in messages), default=0)
    found.check(holds=orphaned <= stops, otherwise=f"a message was orphaned {orphaned} times by {stops} kills")
    waited = [message["waited"] for message in messages if message["waited"] is not None]
    found.figures.append(f"message stored → first attempt: {percentiles(waited)}; attempts {_counted(messages)}")
    found.maybe_sent = sum(message["maybe"] for message in messages)
    found.figures.append(
        f"{len(messages)} messages by mail and webhook, {took.total()} taken by the receivers, {len(twice)} more than "
        f"once; {found.maybe_sent} are marked as maybe sent, {sum(bool(m['orphaned']) for m in messages)} of them "
        "because a sender died"
    )


def _counted(messages: list[dict[str, Any]]) -> str:
    counted = Counter(message["attempts"] for message in messages)
    return ", ".join(f"{attempts}: {count}" for attempts, count in sorted(counted.items()))


def _engine(found: Findings, rig: Rig) -> None:
    """Nothing waits, no invariant had to be repaired, and the portal found no fault with itself."""
    for what, count in left(rig).items():
        found.wrong.append(f"{count} {what} are left")
    faults = rig.query("SELECT payload->>'title' AS title FROM engine_event WHERE kind = 'engine.portal_fault'")
    found.check(holds=not faults, otherwise=f"the portal found faults with itself: {faults}")
    broken = json.loads(rig.run("-c", _INVARIANTS, DJANGO_SETTINGS_MODULE="incidentportal.settings"))
    found.check(holds=not broken, otherwise=f"invariants: {broken}")


def _figures(found: Findings, pages: list[dict[str, Any]], told: Told) -> None:
    found.figures.append(f"{len(pages)} pages; due → page made: {percentiles(found.late)}")
    found.figures.append(f"page made → first acceptance by a receiver: {percentiles(found.to_acceptance)}")
    for start, end in told.redis_away:
        without = [page["created"] - page["due"] for page in pages if start + 1 <= page["due"] <= end - 1]
        found.figures.append(f"of them {len(without)} fell due while Redis was away: {percentiles(without)}")
        found.check(holds=bool(without), otherwise="no page fell due while Redis was away")


def moods(servers: Sequence[Counter[str]]) -> Iterator[str]:
    """What the receiving servers did, and that they did each of it."""
    met: Counter[str] = Counter()
    for counted in servers:
        met += counted
    yield "receivers: " + ", ".join(f"{met[mood]} × {mood}" for mood in Mood)
