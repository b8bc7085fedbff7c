"""What placeholders may name, and what an execution puts in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.conf import settings

from apps.incidents.models import Incident
from apps.incidents.queries import url as incident_url
from apps.policies.sections import Finding, Where
from apps.runbooks import steps as registry
from apps.runbooks.steps.base import StepContext
from apps.runbooks.templating import Mark, Unknown, look_up, malformed, placeholders

ROOTS = ("params", "secret", "incident", "execution", "steps")
INCIDENT_FIELDS = ("id", "number", "title", "severity", "team", "service", "environment", "url")
RESULT = "result"
"""Of every step: succeeded, failed or skipped."""
EXECUTION_FIELDS = ("key", "id", "reason", "actor")


def name_findings(
    options: dict[str, Any], kind: str, where: Where, schema: Mapping[str, Any], earlier: Mapping[str, str]
) -> Iterator[Finding]:
    """Placeholders in the options of a step that can never be filled in. `earlier` maps step slugs to their kinds."""
    for place in malformed(options, where):
        yield Finding(place, "`{{` opens a placeholder: write a dotted name, as in {{ params.world }}.")
    url_fields = registry.kind(kind).url_fields if registry.known(kind) else ()
    for found in placeholders(options, where, url_fields=url_fields):
        fault = _fault(found.name, schema, earlier)
        if not fault and found.in_host and not _is_bound(found.name, schema):
            fault = (
                f"`{found.name}` stands in the scheme or host of an address: only a secret may, or a parameter whose "
                "schema has `enum` or `const`, so that nobody but the author says where requests go."
            )
        if fault:
            yield Finding(found.where, fault)


def _fault(name: str, schema: Mapping[str, Any], earlier: Mapping[str, str]) -> str:
    root, _, rest = name.partition(".")
    first, _, below = rest.partition(".")
    if root == "params":
        return _parameter_fault(rest, schema)
    if root == "secret":
        return "A secret is named in one word: {{ secret.NAME }}." if below else ""
    if root == "incident":
        return _choice_fault("an incident", rest, INCIDENT_FIELDS)
    if root == "execution":
        return _choice_fault("an execution", rest, EXECUTION_FIELDS)
    if root == "steps":
        return _outcome_fault(first, below, earlier)
    return f"`{name}` begins with `{root}`; placeholders begin with {', '.join(ROOTS)}."


def _choice_fault(thing: str, name: str, fields: tuple[str, ...]) -> str:
    return "" if name in fields else f"`{name}` is nothing of {thing}; there is {', '.join(fields)}."


def _parameter_fault(path: str, schema: Mapping[str, Any]) -> str:
    found: Any = schema
    for part in path.split("."):
        properties = found.get("properties") if isinstance(found, Mapping) else None
        if not isinstance(properties, Mapping):
            return "" if found is not schema else f"There is no parameter `{part}`: this runbook declares none."
        if part not in properties:
            if found is not schema and found.get("additionalProperties", True) is not False:
                return ""
            return f"There is no parameter `{path}`; declared are {', '.join(properties) or 'none'}."
        found = properties[part]
    return ""


def _outcome_fault(slug: str, field: str, earlier: Mapping[str, str]) -> str:
    if slug not in earlier:
        return f"No step `{slug}` comes before this one; before it come {', '.join(earlier) or 'none'}."
    if not registry.known(earlier[slug]):
        return ""
    fields = (*registry.kind(earlier[slug]).outcome_fields, RESULT)
    if field.partition(".")[0] not in fields:
        return f"The outcome of `{slug}` has no `{field}`; it has {', '.join(fields) or 'nothing to name'}."
    return ""


def _is_bound(name: str, schema: Mapping[str, Any]) -> bool:
    """Whether only the author decides what stands there."""
    root, _, path = name.partition(".")
    if root == "secret":
        return True
    if root != "params":
        return False
    found: Any = schema
    for part in path.split("."):
        properties = found.get("properties") if isinstance(found, Mapping) else None
        found = properties.get(part) if isinstance(properties, Mapping) else None
    return isinstance(found, Mapping) and ("enum" in found or "const" in found)


def incident_names(incident: Incident | None) -> dict[str, Any]:
    """What `{{ incident.… }}` may name; empty without an incident."""
    if incident is None:
        return {}
    services = sorted(incident.services.values_list("slug", flat=True))
    return {
        "id": incident.pk,
        "number": incident.number,
        "title": incident.title,
        "severity": incident.severity,
        "team": incident.team.slug if incident.team else "",
        "service": services[0] if services else "",
        "environment": incident.environment.slug if incident.environment else "",
        "url": f"{settings.PUBLIC_URL}{incident_url(str(incident.pk))}",
    }


def resolver(context: StepContext, secret: Callable[[str], str]) -> Callable[[str], Any]:
    """What fills placeholders in: the names of one step's context, and secrets by `secret(name)`."""
    tree = {
        "params": context.parameters,
        "incident": context.incident,
        "execution": {
            "key": context.execution_key,
            "id": context.execution_id,
            "reason": context.reason,
            "actor": context.actor.name,
        },
    }

    def resolve(name: str) -> Any:
        root, _, rest = name.partition(".")
        if root == "secret":
            return secret(rest)
        if root == "steps":
            return _outcome(rest, context)
        if root == "incident" and not context.incident:
            raise Unknown(f"`{name}` needs an incident, and none is given.")
        if root == "execution" and context.looking:
            return Mark(f"‹{name}›")
        return look_up(name, tree)

    return resolve


def _outcome(path: str, context: StepContext) -> Any:
    slug, _, field = path.partition(".")
    if field == RESULT and slug in context.results:
        return context.results[slug]
    if slug in context.outcomes:
        return look_up(field, context.outcomes[slug])
    if context.looking:
        return Mark(f"‹steps.{path}›")
    raise Unknown(f"`steps.{path}` is not known: the step `{slug}` has no outcome.")
