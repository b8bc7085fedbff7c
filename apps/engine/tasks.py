"""One Celery task for each sweeper, under the sweeper's own name."""

from __future__ import annotations

from celery import shared_task

from apps.engine.registry import sweepers
from apps.engine.sweeping import run_sweeper


def _make(task: str) -> None:
    @shared_task(name=task, ignore_result=True)
    def look_now() -> int:
        """Do what is due."""
        return run_sweeper(task)


for _sweeper in sweepers():
    _make(_sweeper.task)
