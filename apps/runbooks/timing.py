"""How long steps took, against their targets, in words."""

from __future__ import annotations

from datetime import datetime

from apps.runbooks.models import StepRun

_SHORTEST = 0.1
_MINUTE, _HOUR = 60, 3600


def span_text(seconds: float) -> str:
    """A measured duration for people: under a minute in tenths of a second ("1.2 s"), then "4 min 7 s", "2 h 5 min"."""
    if seconds < _SHORTEST:
        return "under 0.1 s"
    if seconds < _MINUTE - _SHORTEST / 2:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s".removesuffix(" 0 s")
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min".removesuffix(" 0 min")


def target_text(run: StepRun) -> str:
    """Its target, "30 s"; empty without one."""
    return "" if run.target_seconds is None else span_text(run.target_seconds)


def timing_text(run: StepRun) -> str:
    """A step that is over in one line: "took 1.2 s · target 30 s: met"; empty for one that never began."""
    if run.took_seconds is None or run.state == StepRun.State.SKIPPED:
        return ""
    took = f"took {span_text(run.took_seconds)}"
    return f"{took} · target {target_text(run)}: {run.pace.label}" if run.pace else took


def running_seconds(run: StepRun, at: datetime) -> float | None:
    """How long a step has been at work until `at`; None for one that has not begun, or is over."""
    if run.started_at is None or run.finished_at is not None:
        return None
    return max((at - run.started_at).total_seconds(), 0.0)
