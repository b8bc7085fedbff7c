"""The frame every verb stands in: one transaction, one signature on its history rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, cast

from django.db import transaction

from apps.foundation.actor import Actor, acting

P = ParamSpec("P")
R = TypeVar("R")


def operation(func: Callable[P, R]) -> Callable[P, R]:
    """Run `func` in one transaction, with its `actor` keyword signing every history row it writes.

    The reason on those rows is the keyword `reason` where the caller gave one, else the operation's name.
    Called inside another operation it joins that transaction as a savepoint.
    """

    @wraps(func)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        actor = cast("Actor", kwargs["actor"])
        reason = str(kwargs.get("reason") or func.__name__.replace("_", " "))
        with transaction.atomic(), acting(actor, reason):
            return func(*args, **kwargs)

    return run
