"""The section of a pack that says whom to call: roles, and people and firms outside of the portal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self, cast

from pydantic import StringConstraints, model_validator

from apps.incidents.models import Incident
from apps.incidents.policy import Short
from apps.oncall.queries import people_for_roles
from apps.people.models import User
from apps.policies.queries import optional_section
from apps.policies.sections import PackList, PackModel, Table, register_section

RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,59}$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9(][0-9 ().\-]{1,28}[0-9]$")]
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s<>]{1,64}@[A-Za-z0-9.\-]{1,185}$")]


class Contact(PackModel):
    """Somebody to call. A `role` is whoever answers for it at that moment; others are called by what stands here.

    One that says no way yet is a reminder to fill it in.
    """

    name: Short
    kind: Literal["internal", "external"] = "internal"
    role: RoleName | None = None
    phone: Phone | None = None
    email: Email | None = None
    chat: Short | None = None
    backup: Short | None = None
    schedule: Short | None = None
    note: Short | None = None

    @model_validator(mode="after")
    def _outsiders_have_no_role(self) -> Self:
        if self.kind == "external" and self.role is not None:
            raise ValueError("An external contact answers for no role: give its phone, email or chat.")
        return self

    @property
    def is_empty(self) -> bool:
        """Whether it says no way at all."""
        return not (self.role or self.phone or self.email or self.chat or self.backup)

    @property
    def ways(self) -> list[tuple[str, str]]:
        """What it says besides its role, each with where a click leads, if anywhere."""
        dialled = "".join(sign for sign in self.phone or "" if sign in "+0123456789")
        found = [
            (self.phone, f"tel:{dialled}"),
            (self.email, f"mailto:{self.email}"),
            (self.chat, ""),
            (self.backup and f"backup {self.backup}", ""),
            (self.schedule and f"schedule {self.schedule}", ""),
            (self.note, ""),
        ]
        return [(text, href) for text, href in found if text]


class Contacts(PackList[Sequence[Contact]]):
    """Whom to call, in the order in which people look for them."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if twice := [name for name, count in Counter(each.name.lower() for each in self.root).items() if count > 1]:
            raise ValueError(f"Two contacts have the name {twice[0]}.")
        return self


@dataclass(frozen=True, slots=True)
class WhoToCall:
    """A contact, and the names of those who answer for its role now."""

    contact: Contact
    people: tuple[str, ...]


def contacts_of(version_id: int) -> Contacts:
    """The contacts of a policy version; none where its pack has no such section."""
    return cast("Contacts | None", optional_section(version_id, "contacts")) or Contacts([])


def who_to_call(incident: Incident, at: datetime) -> list[WhoToCall]:
    """The contacts of an incident's pinned pack with who answers for their roles at an instant, for its team.

    A constant number of queries; none where the pack names no roles here.
    """
    found = contacts_of(incident.policy_version_id).root
    roles = {contact.role for contact in found if contact.role is not None}
    reached = people_for_roles(incident.team_id, sorted(roles), at) if roles else {}
    wanted = {user_id for people in reached.values() for user_id in people}
    names = {user.pk: user.name for user in User.objects.filter(pk__in=wanted)} if wanted else {}
    return [
        WhoToCall(contact, tuple(names[pk] for pk in reached.get(contact.role or "", ()) if pk in names))
        for contact in found
    ]


def _tables(found: Contacts) -> list[Table]:
    rows = [
        (
            each.name,
            each.kind,
            each.role or "–",
            each.phone or "–",
            each.email or "–",
            each.chat or "–",
            each.backup or "–",
            each.schedule or "–",
            each.note or ("not filled in yet" if each.is_empty else "–"),
        )
        for each in found.root
    ]
    head = ("Who", "Kind", "Role", "Phone", "Email", "Chat", "Backup", "Schedule", "Note")
    return [Table("Who to call", head, rows, note="A role means whoever answers for it at that moment.")]


def register() -> None:
    """Own the section. Called from `ready()`; again changes nothing."""
    register_section("contacts", Contacts, required=False, tables=_tables)
