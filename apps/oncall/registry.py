"""Where the floors above say what else makes a page reach nobody: each finds sentences about people, by their ids."""

from __future__ import annotations

from collections.abc import Callable, Collection

FindWarnings = Callable[[Collection[int]], dict[int, list[str]]]
_found_by: list[FindWarnings] = []


def register_warnings(find: FindWarnings) -> None:
    """Let `find(user_ids)` warn of members of rotations, with a constant number of queries; again changes nothing."""
    if find not in _found_by:
        _found_by.append(find)


def warnings_about_people(user_ids: Collection[int]) -> dict[int, list[str]]:
    """The sentences of all, by person; who has none may be left out."""
    told: dict[int, list[str]] = {}
    for find in _found_by if user_ids else ():
        for user_id, sentences in find(user_ids).items():
            told.setdefault(user_id, []).extend(sentences)
    return told
