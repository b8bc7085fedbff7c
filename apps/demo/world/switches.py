"""Asks the portal for the game's kill switches, as any OpenFeature client would: by OFREP, with a token of its own.

While the portal does not answer, the game keeps what it heard last; before it heard anything, everything is on.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apps.demo.world.game import World

_TIMEOUT_SECONDS = 2.0
_MOST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Switch:
    """What a flag means to the game: its name, and what players notice once it is killed."""

    name: str
    killed: str


SWITCHES: Mapping[str, Switch] = {
    "payments.checkout": Switch("Checkout", "The shop is closed: nobody can buy, so no purchase fails."),
    "events.world-boss": Switch("World boss", "The boss has left, whatever is scheduled."),
    "combat.attacks": Switch("Attacks between players", "Players fight monsters only: a third fewer requests."),
    "diplomacy.treaties": Switch("Treaties between guilds", "No treaty is signed or broken."),
}


class Switches:
    """Asks every `look_seconds` for all flags of the environment, and lets the world obey them."""

    def __init__(self, world: World, *, portal_file: Path, look_seconds: float = 1.0) -> None:
        self._world = world
        self._portal_file = portal_file
        self._look_seconds = look_seconds
        self._etag = ""
        self._asked = ""
        self._stop = threading.Event()
        self.problem = "The portal has not said yet where to ask."

    def run(self) -> None:
        """Look until `stop` is called."""
        while not self._stop.wait(self._look_seconds):
            self.look()

    def stop(self) -> None:
        self._stop.set()

    def look(self) -> None:
        """One question. What goes wrong stands in `problem`."""
        told = self._told()
        if told is None:
            return
        try:
            self._ask(told)
        except OSError as error:
            self.problem = f"The portal does not answer ({error}): the game keeps what it heard last."
        except (ValueError, KeyError, TypeError) as error:
            self.problem = f"The portal answers what is no list of flags ({error!r})."

    def shown(self) -> dict[str, Any]:
        """For the world's page: each switch, whether it is on, and what being off means."""
        killed = self._world.killed()
        flags = {
            key: {"name": switch.name, "on": key not in killed, "killed": switch.killed}
            for key, switch in SWITCHES.items()
        }
        return {"flags": flags, "problem": self.problem}

    def _told(self) -> dict[str, str] | None:
        """Where to ask and with which token; None before the portal has written it."""
        try:
            found = json.loads(self._portal_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        wanted = {"flags_url", "flags_token", "environment"}
        return found if isinstance(found, dict) and wanted <= found.keys() else None

    def _ask(self, told: Mapping[str, str]) -> None:
        if self._asked != told["flags_url"] + told["environment"]:
            self._asked, self._etag = told["flags_url"] + told["environment"], ""
        parts = urlsplit(told["flags_url"])
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=_TIMEOUT_SECONDS)
        headers = {
            "Authorization": f"Bearer {told['flags_token']}",
            "X-Environment": told["environment"],
            "Content-Type": "application/json",
            **({"If-None-Match": self._etag} if self._etag else {}),
        }
        try:
            connection.request("POST", parts.path, b'{"context": {}}', headers)
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES)
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()
        if answer.status == http.HTTPStatus.OK:
            # A disabled flag has no value: the game's own default counts, which is on.
            self._world.obey(flag["key"] for flag in json.loads(body)["flags"] if flag.get("value") is False)
            self._etag = answer.headers.get("ETag", "")
        elif answer.status != http.HTTPStatus.NOT_MODIFIED:
            raise OSError(f"it answered {answer.status}")
        self.problem = ""
