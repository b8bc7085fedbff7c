"""What Prometheus sees of executions."""

from __future__ import annotations

from apps.engine.metrics import register_gauge
from apps.runbooks.queries import at_work_by_state, oldest_due_seconds


def register() -> None:
    """Export the gauges; called once in `ready()`."""
    register_gauge("portal_executions_at_work", "Executions at work, by state.", at_work_by_state, label="state")
    register_gauge(
        "portal_oldest_due_execution_seconds",
        "How long the execution that waited longest for a worker has been due.",
        lambda: {"": oldest_due_seconds()},
    )
