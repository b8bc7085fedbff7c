"""`notify`: a message to people, to who answers for roles, and to lists of teams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field, StringConstraints, model_validator

from apps.catalog.queries import teams_by_slug
from apps.foundation.clock import now
from apps.foundation.subjects import Subject, is_visible, subject_url
from apps.incidents.models import Incident
from apps.incidents.queries import subject_of as incident_subject
from apps.messaging.models import Message
from apps.messaging.operations import NewMessage, enqueue_many, messages_for_person
from apps.oncall.queries import people_for_roles
from apps.people.models import User
from apps.runbooks.models import Execution
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import Effect, Options, Outcome, Preview, StepContext, StepKind, written_options

Name = Annotated[str, StringConstraints(min_length=1, max_length=150)]
Names = Annotated[list[Name], Field(max_length=50)]


class NotifyOptions(Options):
    """`with` of a `notify`: usernames, roles of the on-call schedule, slugs of teams whose list gets an email."""

    people: Names = []
    roles: Names = []
    teams: Names = []
    title: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    text: Annotated[str, StringConstraints(max_length=8000)] = ""

    @model_validator(mode="after")
    def _somebody(self) -> NotifyOptions:
        if not (self.people or self.roles or self.teams):
            raise ValueError("Say who gets it: `people`, `roles` or `teams`.")
        return self


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who gets it, which lists, and what of the names leads to nobody: worth telling, but no reason to stop."""

    users: list[User]
    lists: dict[str, str]
    missing: list[str]
    left_out: list[str]


class Notify(StepKind):
    """Stored in the transaction of the step's outcome; the sender does the rest. The same key is one message."""

    name = "notify"
    title = "Notify"
    options = NotifyOptions
    outcome_fields = ("messages",)

    def effect(self, options: NotifyOptions) -> Effect:
        return "internal"

    def preview(self, options: NotifyOptions, context: StepContext) -> Preview:
        found = recipients(options, context)
        ways = _ways([user.pk for user in found.users])
        lines = [f"{user.name}: {', '.join(ways.get(user.pk, ()))}" for user in found.users]
        lines += [f"{slug}: the list {address}" for slug, address in found.lists.items()]
        lines += [f"{name}: nothing, since the incident is private" for name in found.left_out]
        told = [f"“{options.title}” goes to {'; '.join(lines) or 'nobody'}.", *found.missing]
        return Preview(text=" ".join([*told, f"It says: {options.text}"] if options.text else told))

    def perform(self, options: NotifyOptions, context: StepContext) -> Outcome:
        found = recipients(options, context)
        subject = _subject(context)
        link = f"{settings.PUBLIC_URL}{subject_url(subject)}" if subject.kind else ""
        # A message is stored, and many read it: no place for a secret, whatever the runbook says.
        vault = Vault()
        title, text = vault.mask_text(options.title), vault.mask_text(options.text)

        def written(channel: str, user_id: int | None, address: str) -> NewMessage:
            return NewMessage(
                dedupe_key=_key(context.idempotency_key, channel, user_id, address),
                channel=channel,
                recipient_id=user_id,
                endpoint_id=None,
                address=address,
                subject=subject,
                title=title[:300],
                body=text,
                payload={"url": link} if link else {},
            )

        drafts = messages_for_person(
            [user.pk for user in found.users],
            channels=None,
            make=lambda user_id, channel, address: written(channel, user_id, address),
        )
        drafts += [written(Message.Channel.EMAIL, None, address) for address in found.lists.values()]
        enqueue_many([replace(draft, priority=3) for draft in drafts])
        for sentence in found.missing:
            context.log(sentence)
        context.log(f"{len(drafts)} messages are on their way.")
        return Outcome("succeeded", data={"messages": len(drafts), "left_out": found.left_out})

    def told(self, intent: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str]]:
        options = written_options(intent)
        to = [str(name) for field in ("people", "roles", "teams") for name in options.get(field) or []]
        rows = [("To", ", ".join(to))] if to else []
        rows += [("Says", str(options["title"]))] if options.get("title") else []
        rows += [("Messages", str(data["messages"]))] if "messages" in data else []
        left_out = ", ".join(str(name) for name in data.get("left_out") or [])
        return [*rows, *([("Left out", f"{left_out}: they may not see the incident")] if left_out else [])]

    def readable(self, options: Mapping[str, Any]) -> str:
        to = [str(name) for field in ("people", "roles", "teams") for name in options.get(field, [])]
        return f"“{options.get('title', '')}” to {', '.join(to)}"


def recipients(options: NotifyOptions, context: StepContext) -> Recipients:
    """Whom these names mean now; of a private incident only who may see it hears.

    Roles are those of the incident's team, without an incident those of the runbook's owner.
    """
    missing: list[str] = []
    people = {user.username: user for user in User.objects.filter(username__in=options.people, is_active=True)}
    missing += [f"There is no active account `{name}`." for name in options.people if name not in people]
    incident = Incident.objects.filter(pk=context.incident_id).first() if context.incident_id else None
    on_call = people_for_roles(_team_id(incident, context), options.roles, now()) if options.roles else {}
    missing += [f"Nobody answers for the role `{role}` now." for role in options.roles if not on_call.get(role)]
    teams = teams_by_slug(options.teams)
    missing += [f"There is no team `{slug}`." for slug in options.teams if slug not in teams]
    missing += [f"The team `{slug}` has no list." for slug, team in teams.items() if not team.email]
    ids = {user.pk for user in people.values()} | {pk for pks in on_call.values() for pk in pks}
    users = sorted(User.objects.filter(pk__in=ids, is_active=True), key=lambda user: user.name)
    lists = {slug: team.email for slug, team in teams.items() if team.email}
    if incident is None or incident.visibility == Incident.Visibility.OPEN:
        return Recipients(users, lists, missing, [])
    subject = incident_subject(incident)
    seeing = [user for user in users if is_visible(subject, user)]
    kept = {slug: address for slug, address in lists.items() if teams[slug].pk == incident.team_id}
    left_out = [user.name for user in users if user not in seeing] + [slug for slug in lists if slug not in kept]
    return Recipients(seeing, kept, missing, left_out)


def _team_id(incident: Incident | None, context: StepContext) -> int | None:
    if incident is not None and incident.team_id is not None:
        return incident.team_id
    if context.team_id is not None or context.execution_id is None:
        return context.team_id
    return Execution.objects.values_list("runbook__owner_id", flat=True).filter(pk=context.execution_id).first()


def _subject(context: StepContext) -> Subject:
    if context.incident_id is not None:
        return incident_subject(context.incident_id)
    return Subject("execution", str(context.execution_id)) if context.execution_id else Subject("", "")


def _key(key: str, channel: str, user_id: int | None, address: str) -> str:
    whom = sha256(f"{user_id} {address}".encode()).hexdigest()[:16]
    return f"runbook:{key}:{channel}:{whom}"


def _ways(user_ids: list[int]) -> dict[int, list[str]]:
    """By which channels each person is reached, in the order of their contact points. Addresses are theirs alone."""
    found: dict[int, list[str]] = {}
    for draft in messages_for_person(user_ids, channels=None):
        if draft.recipient_id is not None and draft.channel not in found.setdefault(draft.recipient_id, []):
            found[draft.recipient_id].append(draft.channel)
    return found
