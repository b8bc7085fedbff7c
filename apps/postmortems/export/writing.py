"""The text of an export, part by part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from apps.postmortems.figures import Computed, Executed, Fact, Touched
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.policy import Computed as Computable
from apps.postmortems.policy import Part, rules

Clean = Callable[[str], str]
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
_STATUS = {"open": "TODO", "in_progress": "IN PROGRESS", "done": "DONE", "dropped": "DROPPED"}
_EMPTY = "_Not written yet._"


def document(review: Review, found: Computed, clean: Clean) -> str:
    """All parts in the order of the template; `clean` filters every text that comes from people."""
    return _Writer(review, found, clean).document()


def escaped(text: str) -> str:
    """`text` as one line that means nothing in Markdown: safe in a cell of a table."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


class _Writer:
    """Writes one review."""

    def __init__(self, review: Review, found: Computed, clean: Clean) -> None:
        self.review, self.found, self._clean = review, found, clean
        self.texts = {row.slug: row.text for row in review.sections.all()}
        known = rules(review.policy_version_id)
        self.template: Sequence[Part] = known.template if known else ()

    def say(self, text: str) -> str:
        """A text of people or of the portal, filtered and escaped."""
        return escaped(self._clean(text))

    def document(self) -> str:
        blocks = [f"# Incident Post-Mortem: {self.say(self.review.title)}"]
        under = None
        for part in self.template:
            if part.under and part.under != under:
                blocks.append(f"## {self.say(part.under)}")
            under = part.under
            blocks.append(f"{'###' if under else '##'} {self.say(part.title)}")
            if part.computed:
                blocks += self._computed(part.computed)
            if part.written:
                text = self._clean(self.texts.get(part.slug, "")).strip()
                blocks.append(text or _EMPTY)
        return "\n\n".join(block for block in blocks if block) + "\n"

    def _computed(self, name: Computable) -> list[str]:
        parts: dict[Computable, Callable[[], list[str]]] = {
            "metadata": lambda: [self._facts(self.found.metadata), *self._cycles()],
            "impact": lambda: [self._facts(self.found.impact)],
            "timeline": lambda: [self._timeline()],
            "detection": lambda: [self._facts(self.found.detection)],
            "responders": lambda: [self._responders()],
            "actions": self._actions,
            "items": lambda: [self._items()],
        }
        return parts[name]()

    def _facts(self, facts: Iterable[Fact]) -> str:
        return "\n".join(f"- **{self.say(fact.label)}**: {self.say(fact.value)}" for fact in facts)

    def _table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
        lines = [columns, ["---"] * len(columns), *([self.say(cell) for cell in row] for row in rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _cycles(self) -> list[str]:
        """The figures of each time that it was open, where there was more than one."""
        if len(self.found.cycles) == 1:
            return []
        rows = [
            (str(cycle.number + 1), self._at(cycle.started_at), self._at(cycle.resolved_at), figure.label, figure.text)
            for cycle in self.found.cycles
            for figure in cycle.figures
            if figure.seconds is not None
        ]
        return [self._table(("Time open", "From", "Until", "Figure", "Measured"), rows)]

    def _timeline(self) -> str:
        days = {line.at.astimezone(UTC).date() for line in self.found.timeline}
        form = "%H:%M:%S" if len(days) <= 1 else "%Y-%m-%d %H:%M:%S"
        rows = [(f"{line.at.astimezone(UTC):{form}}", line.text, line.author) for line in self.found.timeline]
        return self._table(("Time (UTC)", "Event", "By"), rows)

    def _responders(self) -> str:
        rows = [
            (one.name, ", ".join(one.roles) or "–", str(one.pages), str(one.lines)) for one in self.found.participants
        ]
        paged = f"{self.found.pages_sent} pages to {self.found.people_paged} people were sent."
        return f"{self._table(('Who', 'Roles', 'Pages', 'Lines written'), rows)}\n\n{paged}"

    def _actions(self) -> list[str]:
        """Runbooks, flags, configs and changes; only what there is."""
        executed = [
            *(self._executed("Execution", row) for row in self.found.executions),
            *(self._executed("Dry run", row) for row in self.found.dry_runs),
        ]
        touched = [
            *(self._touched("Flag", row) for row in self.found.flags),
            *(self._touched("Config", row) for row in self.found.configs),
            *(self._touched(row.kind.capitalize(), row) for row in self.found.changes),
        ]
        rows = sorted([*executed, *touched], key=lambda row: row[0])
        if not rows:
            return ["Nothing was executed or changed through the portal."]
        return [self._table(("Time (UTC)", "What", "Title", "By", "Outcome"), rows)]

    def _executed(self, what: str, row: Executed) -> tuple[str, ...]:
        outcome = f"{row.state_label}; {row.approval}" if row.approval else row.state_label
        return (self._at(row.at), what, row.title, row.by, outcome)

    def _touched(self, what: str, row: Touched) -> tuple[str, ...]:
        return (self._at(row.at), what, row.title, row.by or "–", row.detail or "–")

    def _items(self) -> str:
        items = list(self.review.items.select_related("owner", "team").order_by("due_at", "pk"))
        if not items:
            return "None."
        return self._table(("Action", "Owner", "Priority", "Due Date", "Status"), [self._item(item) for item in items])

    @staticmethod
    def _item(item: ActionItem) -> tuple[str, ...]:
        whose = item.owner.name if item.owner else f"@{item.team.slug}" if item.team else "–"
        title = f"{item.title} ({item.link})" if item.link else item.title
        return (title, whose, item.priority, f"{item.due_at.astimezone(UTC):%Y-%m-%d}", _STATUS[item.state])

    @staticmethod
    def _at(at: datetime | None) -> str:
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else "–"
