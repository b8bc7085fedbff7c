"""All flags as one process holds them: compiled once for each revision, read without a database or a lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from apps.flags.models import Flag

# Reasons of the OpenFeature specification. Nothing here depends on who asks, hence STATIC.
STATIC, DISABLED = "STATIC", "DISABLED"


class Row(NamedTuple):
    """What of a flag matters to those who ask for it."""

    environment: str
    key: str
    state: str
    version: int


class Evaluation(NamedTuple):
    """The answer of one flag. `value` None leaves it to the caller's own default."""

    key: str
    value: bool | None
    reason: str
    variant: str
    metadata: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As the protocol words it: without `value` a provider takes the default that its caller gave."""
        found: dict[str, Any] = {"key": self.key}
        if self.value is not None:
            found["value"] = self.value
        return found | {"reason": self.reason, "variant": self.variant, "metadata": self.metadata}


class Compiled(NamedTuple):
    """One environment: every answer as the bytes that are sent."""

    evaluations: Mapping[str, Evaluation]
    bodies: Mapping[str, bytes]
    bulk: bytes
    etag: str


def _evaluation(row: Row) -> Evaluation:
    metadata = {"environment": row.environment, "version": row.version, "state": row.state}
    if row.state == Flag.State.DISABLED:
        return Evaluation(row.key, None, DISABLED, "disabled", metadata)
    is_on = row.state == Flag.State.ON
    return Evaluation(row.key, is_on, STATIC, "on" if is_on else "off", metadata)


def _compiled(rows: Iterable[Row]) -> Compiled:
    evaluations = {row.key: _evaluation(row) for row in sorted(rows)}
    bodies = {key: orjson.dumps(found.as_json()) for key, found in evaluations.items()}
    bulk = b'{"flags":[%b]}' % b",".join(bodies.values())
    return Compiled(evaluations, bodies, bulk, f'"{hashlib.sha256(bulk).hexdigest()[:32]}"')


class Snapshot:
    """Every flag of every environment at one revision. It never changes; a newer one takes its place."""

    def __init__(self, revision: int, environments: Iterable[str], rows: Iterable[Row]) -> None:
        """`environments` are slugs in their order: the first is meant where a caller names none."""
        self.revision = revision
        self.environments = tuple(environments)
        by_environment: dict[str, list[Row]] = {slug: [] for slug in self.environments}
        for row in rows:
            by_environment.setdefault(row.environment, []).append(row)
        self._compiled = {slug: _compiled(found) for slug, found in by_environment.items()}
        self._default = self._compiled[self.environments[0]] if self.environments else _compiled([])

    def environment(self, slug: str | None) -> Compiled | None:
        """The answers of one environment, of the first one without a slug; None for an unknown one."""
        return self._compiled.get(slug) if slug else self._default

    def evaluate(self, key: str, environment: str | None, context: Mapping[str, Any]) -> Evaluation | None:
        """What the flag answers; None where there is no such flag or environment.

        A kill switch answers everybody alike: `context` is what later kinds of flags will look at.
        """
        compiled = self.environment(environment)
        return compiled.evaluations.get(key) if compiled is not None else None
