"""What an address of each kind looks like, and what may be shown of one that is itself a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote_plus, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email

from apps.foundation.egress.addresses import is_public, literal_address
from apps.foundation.errors import Invalid
from apps.people.crypto import keyed_digest

MAX_ADDRESS_LENGTH = 500
MAX_SECRET_LENGTH = 2000
SHOWN_MARK = " · "
# Services that Apprise speaks with over the network and whose address holds all they need. Those that act on this
# machine (dbus, syslog, ...) or run a program must never be reachable from a form.
APPRISE_SCHEMES = frozenset(
    [
        "msteams",
        "workflows",
        "workflow",
        "tgram",
        "mmost",
        "mmosts",
        "mattermost",
        "mattermosts",
        "mastodon",
        "mastodons",
        "toot",
        "toots",
        "ntfy",
        "ntfys",
        "matrix",
        "matrixs",
        "gotify",
        "gotifys",
        "rocket",
        "rockets",
        "zulip",
        "pover",
        "wxteams",
        "webex",
        "gchat",
        "signal",
        "signals",
        "bark",
        "barks",
        "opsgenie",
        "pagertree",
        "splunk",
        "victorops",
        "guilded",
        "revolt",
        "lametric",
        "json",
        "jsons",
        "form",
        "forms",
        "xml",
        "xmls",
        "mailto",
        "mailtos",
    ]
)
# They name files or further addresses, which the portal would read for whoever wrote them.
_APPRISE_REFUSED = frozenset({"template", "attach", "attachment", "config", "include", "redirect", "verify"}) | {
    *("pgp", "pgppub", "pgpprv", "wkd"),
}
_SLACK_MEMBER = re.compile(r"[UW][A-Z0-9]{5,20}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_INTEGRATION_KEY = re.compile(r"[A-Za-z0-9]{20,64}")
_DISCORD_PATH = re.compile(r"/api/(?:v[0-9]{1,2}/)?webhooks/([0-9]{5,25})/[A-Za-z0-9_-]{10,120}")


@dataclass(frozen=True, slots=True)
class Checked:
    """An address as it is stored: what may be shown, and the secret behind it, if there is one."""

    shown: str
    secret: str = ""


def check_address(kind: str, given: str) -> Checked:
    """The address of a contact point or a destination of this kind. Raises Invalid with what is wrong with it."""
    check = _CHECKS.get(kind)
    if check is None:
        raise Invalid("There is no such kind of contact.", fields={"kind": [f"{kind!r} is unknown."]})
    text = given.strip()
    if not text.isprintable():
        raise _wrong("It has characters that can't be shown.")
    found = check(text)
    if len(found.shown) > MAX_ADDRESS_LENGTH or len(found.secret) > MAX_SECRET_LENGTH:
        raise _wrong(f"Give at most {MAX_ADDRESS_LENGTH} characters.")
    return found


def _wrong(sentence: str) -> Invalid:
    return Invalid("The address is not right.", fields={"address": [sentence]})


def _marked(shown: str, secret: str) -> Checked:
    """Two secrets of one service are told apart by a few letters of a digest that gives nothing away."""
    return Checked(f"{shown}{SHOWN_MARK}{keyed_digest(secret)[:8]}", secret)


def _email(text: str) -> Checked:
    try:
        validate_email(text)
    except ValidationError as error:
        raise Invalid("The address is not right.", fields={"address": list(error.messages)}) from error
    return Checked(text)


def _webhook(text: str) -> Checked:
    try:
        URLValidator(schemes=["https", "http"])(text)
    except ValidationError as error:
        raise Invalid("The address is not right.", fields={"address": list(error.messages)}) from error
    return Checked(text)


def _slack(text: str) -> Checked:
    if not _SLACK_MEMBER.fullmatch(text):
        raise _wrong('Give the member ID from the Slack profile ("Copy member ID"), such as U024BE7LH.')
    return Checked(text)


def _sms(text: str) -> Checked:
    number = re.sub(r"[ ()./-]", "", text)
    if not _PHONE.fullmatch(number):
        raise _wrong("Give the number with its country code, such as +49 151 23456789.")
    return Checked(number)


def _pagerduty(text: str) -> Checked:
    if not _INTEGRATION_KEY.fullmatch(text):
        raise _wrong("Give the integration key of an Events API v2 integration.")
    return _marked(f"integration key …{text[-4:]}", text)


def _discord(text: str) -> Checked:
    parts = _parts(text)
    found = _DISCORD_PATH.fullmatch(parts.path)
    if parts.scheme not in {"https", "http"} or not parts.hostname or found is None or parts.query:
        raise _wrong("Give the address of a webhook, such as https://discord.com/api/webhooks/…")
    return _marked(f"{parts.hostname} webhook {found[1]}", text)


def _push(text: str) -> Checked:
    try:
        given: Any = json.loads(text)
        endpoint, keys = str(given["endpoint"]), given["keys"]
        secret = {"endpoint": endpoint, "keys": {"p256dh": str(keys["p256dh"]), "auth": str(keys["auth"])}}
    except (ValueError, KeyError, TypeError) as error:
        raise _wrong("This is no push subscription: a browser makes it.") from error
    parts = _parts(endpoint)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise _wrong("A push subscription has an endpoint that begins with https://.")
    _refuse_private(parts.hostname)
    return _marked(parts.netloc.rpartition("@")[2], json.dumps(secret, sort_keys=True))


def _apprise(text: str) -> Checked:
    # What follows a colon may be half of a token, so nobody asks for a port here.
    parts = _parts(text, port=False)
    if parts.scheme not in APPRISE_SCHEMES | set(settings.APPRISE_SCHEMES):
        raise _wrong("Give an Apprise address of a service such as ntfys://, tgram:// or workflows://.")
    # As Apprise reads it: everything behind the first question mark, parted by & or ;, with names quoted or not.
    pairs = re.split("[&;]", text.partition("?")[2])
    named = {unquote_plus(pair.partition("=")[0]).strip().lower() for pair in pairs}
    if refused := sorted(named & _APPRISE_REFUSED):
        raise _wrong(f"Leave {', '.join(refused)} out of the address.")
    _refuse_private(parts.hostname or "")
    # The host may be a token (tgram://token/chat): only where there is a dot is it shown.
    host = parts.hostname if parts.hostname and "." in parts.hostname else "…"
    return _marked(f"{parts.scheme}://{host}", text)


def _parts(text: str, *, port: bool = True) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.hostname, parts.port if port else None
    except ValueError as error:
        raise _wrong("This is not an address.") from error
    return parts


def _refuse_private(host: str) -> None:
    """What can be told without looking the name up; the sender looks again when it connects."""
    address = literal_address(host)
    private = address is not None and not is_public(address)
    if (private or host == "localhost") and not settings.WEBHOOK_ALLOW_PRIVATE:
        raise _wrong(f"{host} is a private address; messages go to public ones only.")


_CHECKS: dict[str, Callable[[str], Checked]] = {
    "email": _email,
    "webhook": _webhook,
    "slack": _slack,
    "sms": _sms,
    "pagerduty": _pagerduty,
    "discord": _discord,
    "push": _push,
    "apprise": _apprise,
}
