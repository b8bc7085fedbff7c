"""Names out of an export: who held a role is called by it, everybody else is a numbered participant."""

from __future__ import annotations

import re
from collections import Counter

from apps.people.models import User
from apps.postmortems.figures import Computed
from apps.postmortems.models import Review

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SHORTEST_NAME = 3
"""Shorter parts of a name are words, too."""


class Pseudonyms:
    """The names that may occur in one review, and what stands in their place; the same for each mention.

    Covered are the full and user names of everybody who took part (their first and last names alone, too), and the
    full names, addresses and @mentions of all other people of the portal. Any other email address is masked as well.
    """

    def __init__(self, review: Review, found: Computed) -> None:
        self._replaced: dict[str, str] = {}
        self._used: Counter[str] = Counter()
        roles = {participant.user_id: participant.roles for participant in found.participants}
        involved = self._involved(review, found)
        people = {user.pk: user for user in User.objects.filter(kind=User.Kind.PERSON).order_by("pk")}
        for user_id, known in involved.items():
            pseudonym = self._pseudonym(next(iter(roles.get(user_id, [])), "Participant"))
            user = people.pop(user_id, None)
            names = known | ({user.name, user.get_full_name(), user.username} if user else set())
            parts = {part for name in names for part in name.split() if len(part) >= _SHORTEST_NAME}
            self._add(names | parts, pseudonym)
        for user in people.values():
            full = {name for name in (user.display_name, user.get_full_name()) if " " in name.strip()}
            self._add(full | {f"@{user.username}"}, "somebody")
        longest_first = sorted(self._replaced, key=len, reverse=True)
        choices = "|".join(re.escape(name) for name in longest_first)
        self._pattern = re.compile(rf"(?<!\w)@?(?:{choices})(?!\w)") if choices else None

    def replace(self, text: str) -> str:
        """`text` without names."""
        text = _EMAIL.sub("(email)", text)
        if self._pattern is None:
            return text
        return self._pattern.sub(self._instead, text)

    def _instead(self, found: re.Match[str]) -> str:
        name = found.group()
        return self._replaced.get(name) or self._replaced[name.removeprefix("@")]

    def _pseudonym(self, role: str) -> str:
        """The role's name for its first holder, then numbered; participants are numbered from the first."""
        self._used[role] += 1
        number = self._used[role]
        return role if number == 1 and role != "Participant" else f"{role} {number}"

    def _add(self, names: set[str], pseudonym: str) -> None:
        for name in names:
            if name.strip():
                self._replaced.setdefault(name.strip(), pseudonym)

    @staticmethod
    def _involved(review: Review, found: Computed) -> dict[int, set[str]]:
        """Who took part in the incident or the review, and by what names they were called then."""
        names: dict[int, set[str]] = {}
        for participant in found.participants:
            names.setdefault(participant.user_id, set()).add(participant.name)
        for holder in found.roles:
            names.setdefault(holder.user_id, set()).add(holder.user)
        items = review.items.values_list("owner_id", "created_by_id")
        editors = review.sections.values_list("edited_by_id", flat=True)
        later = [review.owner_id, review.submitted_by_id, review.reviewer_id, review.reviewed_by_id, *editors]
        for user_id in [*later, *(pk for row in items for pk in row)]:
            if user_id is not None:
                names.setdefault(user_id, set())
        return names
