"""What activating a version means for others. Apps above tell it: who follows a pack, what its followers lack, and
which open incidents keep an older version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.policies.loading import load
from apps.policies.models import PolicyPack, PolicyVersion
from apps.policies.sections import Sections


@dataclass(frozen=True, slots=True)
class Follower:
    """A team or a service whose new incidents follow a pack."""

    kind: str
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Caution:
    """What would not work if a version were active, in a sentence, and the page where it can be put right."""

    message: str
    url: str = ""

    def as_json(self) -> dict[str, str]:
        return {"message": self.message, "url": self.url}


Followers = Callable[[PolicyPack, Any], list[Follower]]
"""Of a pack, those that a user may see; all where the user is None."""
Cautions = Callable[[PolicyPack, Sections, Any], list[Caution]]
"""About a pack with these sections, as far as a user may know; everything where the user is None."""
OpenIncidents = Callable[[PolicyPack, Any], Mapping[int, int]]
"""How many open incidents that a user may see are pinned to each version, by its number."""

_followers: dict[str, Followers] = {}
_cautions: dict[str, Cautions] = {}
_open_incidents: dict[str, OpenIncidents] = {}


def register_followers(owner: str, find: Followers) -> None:
    """Let an app say who follows a pack. The same owner again replaces what it said."""
    _followers[owner] = find


def register_cautions(owner: str, find: Cautions) -> None:
    """Let an app check a version against what is set up for those who follow it. Cautions never stop an activation."""
    _cautions[owner] = find


def register_open_incidents(owner: str, count: OpenIncidents) -> None:
    """Let the owner of incidents say how many open ones keep which version of a pack."""
    _open_incidents[owner] = count


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an activation would mean: who follows, what to put right first, how many incidents keep which version."""

    followers: list[Follower]
    cautions: list[Caution]
    pinned: dict[int, int]

    @property
    def pinned_count(self) -> int:
        return sum(self.pinned.values())


def cautions_about(text: str) -> list[Caution]:
    """What would not work for those who follow the pack of this text, if it were active; none for a pack that is new,
    and none where the text is wrong."""
    loaded = load(text)
    pack = PolicyPack.objects.filter(slug=loaded.head.slug).first() if loaded.head is not None else None
    if pack is None or loaded.problems:
        return []
    return [caution for find in _cautions.values() for caution in find(pack, loaded.sections, None)]


def followers_of(pack: PolicyPack, user: Any = None) -> list[Follower]:
    """Who follows a pack, as far as `user` may see; everybody where the user is None."""
    return [follower for find in _followers.values() for follower in find(pack, user)]


def outlook(version: PolicyVersion, user: Any = None) -> Outlook:
    """What activating `version` means, as far as `user` may know; everything where the user is None.

    A constant number of queries. Without cautions for a text that no longer fits the rules of this release.
    """
    pack = version.pack
    sections = load(version.text).sections
    pinned: dict[int, int] = {}
    for count in _open_incidents.values():
        for number, found in count(pack, user).items():
            pinned[number] = pinned.get(number, 0) + found
    return Outlook(
        followers=followers_of(pack, user),
        cautions=[caution for find in _cautions.values() for caution in find(pack, sections, user)],
        pinned=dict(sorted(pinned.items(), reverse=True)),
    )
