"""The verbs of reviews and action items."""

from __future__ import annotations

from apps.postmortems.operations.items import (
    add_item,
    drop_item,
    edit_item,
    finish_item,
    priorities,
    reopen_item,
    start_item,
)
from apps.postmortems.operations.opening import open_review
from apps.postmortems.operations.writing import (
    UNSET,
    Unset,
    close,
    edit_section,
    mark_reviewed,
    reopen_review,
    send_back,
    set_people,
    submit,
)

__all__ = [
    "UNSET",
    "Unset",
    "add_item",
    "close",
    "drop_item",
    "edit_item",
    "edit_section",
    "finish_item",
    "mark_reviewed",
    "open_review",
    "priorities",
    "reopen_item",
    "reopen_review",
    "send_back",
    "set_people",
    "start_item",
    "submit",
]
