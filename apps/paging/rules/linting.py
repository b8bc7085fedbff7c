"""What is wrong with somebody's rules: those that can never fire, and what leaves the person unreachable. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from apps.messaging.models import Message
from apps.paging.rules.choosing import Address, matches
from apps.paging.rules.document import HIGH, INBOX, LOW, Rule, Wishes
from apps.paging.rules.quiet import quiet_share
from apps.people.models import ContactPoint

Tone = Literal["error", "warning"]
# Channels that need an account of the portal's at the provider.
CONNECTED_KINDS = (Message.Channel.SLACK.value, Message.Channel.SMS.value, Message.Channel.PUSH.value)


@dataclass(frozen=True, slots=True)
class Point:
    """A contact point as the linter sees it."""

    pk: int
    kind: str
    state: str
    is_broken: bool
    name: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the linter needs of one person. `longest_minutes` is how long the longest active path pages."""

    wishes: Wishes
    points: tuple[Point, ...]
    connected: frozenset[str] = frozenset(CONNECTED_KINDS)
    longest_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. An `error` means that a page may reach nobody; `rule` counts from 1, 0 is none."""

    code: str
    tone: Tone
    text: str
    urgency: str = ""
    rule: int = 0

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def lint(facts: Facts) -> list[Finding]:
    """Everything that is wrong, errors first."""
    run = _Lint(facts)
    run.addresses()
    for urgency in (HIGH, LOW):
        run.rules(urgency)
    run.quiet()
    return sorted(run.found, key=lambda each: each.tone != "error")


@dataclass(slots=True)
class _Lint:
    facts: Facts
    found: list[Finding] = field(default_factory=list)

    def _say(self, code: str, tone: Tone, text: str, urgency: str = "", rule: int = 0) -> None:
        self.found.append(Finding(code, tone, text, urgency, rule))

    def _works(self, point: Point) -> bool:
        connected = point.kind not in CONNECTED_KINDS or point.kind in self.facts.connected
        return point.state == ContactPoint.State.VERIFIED and not point.is_broken and connected

    def addresses(self) -> None:
        usable = [point for point in self.facts.points if point.state != ContactPoint.State.DISABLED]
        working = [point for point in usable if self._works(point)]
        if not usable:
            self._say("only_inbox", "error", "There is no contact point: pages reach only the inbox of the portal.")
        elif not working:
            text = "No contact point is verified, accepted and connected: pages may reach only the inbox of the portal."
            self._say("no_working_address", "error", text)
        elif all(point.kind == ContactPoint.Kind.PUSH for point in working):
            text = "Pages outside of the portal go by web push only: a browser that is off or logged out gets none."
            self._say("only_push", "warning", text)

    def rules(self, urgency: str) -> None:
        rules = sorted(self.facts.wishes.rules(urgency), key=lambda rule: rule.after_minutes)
        if not rules:
            return
        called: set[int] = set()
        for number, rule in enumerate(rules, start=1):
            aimed = self._aimed(rule)
            self._rule(urgency, number, rule, aimed, called)
            called |= {point.pk for point in aimed}
        self._reach(urgency, rules)

    def _aimed(self, rule: Rule) -> list[Point]:
        """The contact points that a rule means, whatever their state."""
        return [point for point in self.facts.points if matches(rule, Address(point.kind, point.pk))]

    def _rule(self, urgency: str, number: int, rule: Rule, aimed: Sequence[Point], called: Collection[int]) -> None:
        def say(code: str, tone: Tone, text: str) -> None:
            self._say(code, tone, f"Rule {number} of {urgency} urgency {text}", urgency, number)

        longest = self.facts.longest_minutes
        if rule.channel == INBOX:
            return
        if not aimed:
            what = (
                f"names the channel {rule.channel}, where there is no address"
                if rule.channel
                else ("names a contact point that was removed")
            )
            say("never_fires", "warning", f"{what}: it never fires.")
            return
        usable = [point for point in aimed if point.state != ContactPoint.State.DISABLED]
        if not usable:
            say("disabled", "warning", f"names {_names(aimed)}, which is disabled: it never fires.")
        elif all(point.pk in called for point in usable):
            say("shadowed", "warning", f"never fires: an earlier rule calls {_names(usable)} already.")
        elif rule.channel in CONNECTED_KINDS and rule.channel not in self.facts.connected:
            say("not_connected", "warning", f"needs a connection to {rule.channel}, which the portal does not have.")
        elif all(point.is_broken for point in usable):
            say("broken", "warning", f"names {_names(usable)}, which its provider refuses: it reaches nothing.")
        elif not any(self._works(point) for point in usable):
            say("not_working", "warning", f"names {_names(usable)}, which is not verified or not connected.")
        if longest is not None and rule.after_minutes > longest:
            say(
                "too_late",
                "warning",
                f"waits {rule.after_minutes} min; no active pack pages for longer than {longest} min.",
            )

    def _reach(self, urgency: str, rules: Sequence[Rule]) -> None:
        outside = [rule for rule in rules if rule.channel != INBOX]
        working = [rule for rule in outside if any(self._works(point) for point in self._aimed(rule))]
        if not outside:
            text = "Low urgency goes to the inbox of the portal only, as its rules say."
            self._say("low_only_inbox", "warning", text, urgency)
        elif not working:
            text = f"No rule of {urgency} urgency calls an address that works."
            self._say("rules_reach_nobody", "error", text, urgency)
        elif urgency == HIGH and min(rule.after_minutes for rule in working) > 0:
            minutes = min(rule.after_minutes for rule in working)
            text = f"High urgency reaches no address that works in the first {minutes} min: let one rule begin at once."
            self._say("silent_at_first", "error", text, urgency)

    def quiet(self) -> None:
        wishes = self.facts.wishes
        if wishes.quiet and quiet_share(wishes.quiet) >= 1:
            text = "Quiet hours cover the whole week: low urgency never leaves the inbox of the portal."
            self._say("always_quiet", "error", text, LOW)


def _names(points: Sequence[Point]) -> str:
    return ", ".join(point.name for point in points)
