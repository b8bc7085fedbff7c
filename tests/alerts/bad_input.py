"""What senders get wrong, on every path: the body, and what the answer must name."""

from __future__ import annotations

import json
from typing import Any

from tests.alerts.saying import alert, prometheus, trigger

MANY_LABELS = {f"l{number}": "x" for number in range(10_000)}
CHANGE = {"title": "API v2"}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


ANYWHERE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "malformed": (b'{"title": "x",}', "not valid JSON"),
    "truncated": (b'{"title": "x", "alerts": [{"la', "not valid JSON"),
    "two documents": (b"{} {}", "not valid JSON"),
    "NaN": (b'{"title": NaN}', "not valid JSON"),
    "invalid UTF-8": (b'{"title": "\xff"}', "not valid JSON"),
    "raw NUL": (b'{"title": "a\x00b"}', "not valid JSON"),
    "lone high surrogate": (b'{"title": "\\ud800"}', "not valid JSON"),
    "lone low surrogate": (b'{"title": "\\udc00x"}', "not valid JSON"),
    "encoded surrogate": (b'{"title": "\xed\xa0\x80"}', "not valid JSON"),
    "escaped NUL": (b'{"title": "a\\u0000b"}', "NUL"),
    "NUL in a name": (b'{"labels": {"a\\u0000": "b"}}', "NUL"),
    "nested deeply": (b'{"labels": ' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper than 32"),
    "nested absurdly": (b"[" * 200_000, "not valid JSON"),
    "nested objects": (b'{"a":' * 100 + b"1" + b"}" * 100, "nested deeper than 32"),
    "number": (b"1", ""),
    "text": (b'"x"', ""),
    "null": (b"null", ""),
    "empty list": (b"[]", ""),
    "list of null": (b"[null]", ""),
    "form": (b"title=x&status=trigger", "not valid JSON"),
}

BY_KIND: dict[str, dict[str, tuple[bytes, str]]] = {
    "alertmanager": {
        "no alerts": (_json({"version": "4"}), "alerts"),
        "alerts is text": (_json({"alerts": "x"}), "alerts"),
        "alerts is empty": (_json({"alerts": []}), "alerts"),
        "alert is a list": (_json(prometheus([])), "alerts[0]"),  # type: ignore[arg-type]  # wrong on purpose
        "no status": (_json(prometheus({"labels": {}})), "alerts[0].status"),
        "status of another kind": (_json(prometheus({"status": ["firing"], "labels": {}})), "alerts[0].status"),
        "no labels": (_json(prometheus({"status": "firing"})), "alerts[0].labels"),
        "label is a number": (_json(prometheus({"status": "firing", "labels": {"a": 1}})), "alerts[0].labels.a"),
        "labels is a list": (_json(prometheus({"status": "firing", "labels": ["a"]})), "alerts[0].labels"),
        "second is wrong": (_json(prometheus(alert(), {"status": "x"})), "alerts[1].status"),
        "bad date": (_json(prometheus(alert(starts="yesterday"))), "alerts[0].startsAt"),
        "date without zone": (_json(prometheus(alert(starts="2026-05-01T12:00:00"))), "alerts[0].startsAt"),
        "date is a number": (_json(prometheus({**alert(), "startsAt": 1})), "alerts[0].startsAt"),
        "year 0": (_json(prometheus(alert(starts="0000-01-01T00:00:00Z"))), "alerts[0].startsAt"),
        "end of time": (_json(prometheus(alert(starts="9999-12-31T23:59:59-14:00"))), "alerts[0].startsAt"),
        "10,000 labels": (_json(prometheus({**alert(), "labels": MANY_LABELS})), "alerts[0].labels"),
        "long label": (_json(prometheus(alert(x="y" * 5000))), "alerts[0].labels.x"),
        "long name of a label": (_json(prometheus(alert(**{"x" * 300: "y"}))), "alerts[0].labels"),
        "too many alerts": (_json({"alerts": [{}] * 2001}), "alerts"),
        "fingerprint is a number": (_json(prometheus({**alert(), "fingerprint": 7})), "alerts[0].fingerprint"),
    },
    "grafana": {
        "no alerts": (_json({"version": "1"}), "alerts"),
        "legacy alerting": (_json({"ruleId": 1, "state": "alerting", "title": "x"}), "alerts"),
        "no status": (_json({"alerts": [{"labels": {}}]}), "alerts[0].status"),
        "values is a list": (_json({"alerts": [{**alert(), "values": [1]}]}), "alerts[0].values"),
        "value is an object": (_json({"alerts": [{**alert(), "values": {"B": {}}}]}), "alerts[0].values.B"),
        "panel is a number": (_json({"alerts": [{**alert(), "panelURL": 5}]}), "alerts[0].panelURL"),
    },
    "generic": {
        "no title": (_json({"dedup_key": "x"}), "title"),
        "title of spaces": (_json(trigger(title="  ")), "title"),
        "title is a number": (_json({**trigger(), "title": 5}), "title"),
        "title is endless": (_json(trigger(title="x" * 5000)), "title"),
        "resolve without a key": (_json({"status": "resolve"}), "dedup_key"),
        "long key": (_json(trigger("k" * 201)), "dedup_key"),
        "key is an object": (_json({**trigger(), "dedup_key": {}}), "dedup_key"),
        "unknown status": (_json({**trigger(), "status": "acknowledge"}), "status"),
        "severity is a number": (_json({**trigger(), "severity": 1}), "severity"),
        "service is true": (_json(trigger(service=True)), "service"),
        "labels is text": (_json(trigger(labels="x")), "labels"),
        "label is null": (_json(trigger(labels={"a": None})), "labels.a"),
        "label without a name": (_json(trigger(labels={"": "x"})), "labels"),
        "10,000 labels": (_json(trigger(labels=MANY_LABELS)), "labels"),
        "script as a link": (_json(trigger(link="javascript:alert(1)")), "link"),
        "link with a space": (_json(trigger(link="http://x/ y")), "link"),
        "bad date": (_json(trigger(occurred_at="2026-13-01T00:00:00Z")), "occurred_at"),
        "second is wrong": (_json([trigger(), {"title": 1}]), "[1].title"),
        "too many": (_json([{}] * 2001), ""),
    },
    "change": {
        "no title": (_json({"service": "x"}), "title"),
        "unknown kind": (_json({**CHANGE, "kind": "magic"}), "kind"),
        "version is a number": (_json({**CHANGE, "version": 2}), "version"),
        "long version": (_json({**CHANGE, "version": "v" * 121}), "version"),
        "bad date": (_json({**CHANGE, "occurred_at": "2026-05-01"}), "occurred_at"),
        "10,000 labels": (_json({**CHANGE, "labels": MANY_LABELS}), "labels"),
        "link of another kind": (_json({**CHANGE, "link": "file:///etc/passwd"}), "link"),
        "second is wrong": (_json([CHANGE, {}]), "[1].title"),
    },
}

GOOD: dict[str, bytes] = {
    "alertmanager": _json(prometheus(alert())),
    "grafana": _json(prometheus({**alert(), "values": {"B": 1.5}, "panelURL": "http://grafana/d/1?viewPanel=2"})),
    "generic": _json(trigger()),
    "change": _json(CHANGE),
}

CASES = [
    (kind, name, body, hint) for kind, own in BY_KIND.items() for name, (body, hint) in {**ANYWHERE, **own}.items()
]
IDS = [f"{kind}: {name}" for kind, name, _, _ in CASES]
