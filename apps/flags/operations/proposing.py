"""Changes of a flag that are about its experiments: their start, and other shares for newcomers."""

from __future__ import annotations

from typing import Any

from apps.flags.experiment_queries import epochs_of, shares_of, start_of
from apps.flags.models import Experiment, Flag, FlagChange
from apps.flags.operations.experiments import checked_percents, checked_shares, reallocate, start_experiment
from apps.foundation.actor import Actor
from apps.foundation.checking import invalid
from apps.foundation.errors import Conflict

OF_EXPERIMENTS = frozenset({"start", "shares"})
_SHARES = frozenset({"experiment", "percents", "traffic"})


def is_about_experiment(change: Any) -> bool:
    """Whether it is one of these."""
    return isinstance(change, dict) and len(change) == 1 and bool(change.keys() & OF_EXPERIMENTS)


def written_out(flag: Flag, change: Any) -> Any:
    """The change as it is kept, shown and approved: with all that a start or other shares decide. Others stay as given.

    Raises Invalid, and Conflict for an experiment that can't be started, or does not run.
    """
    if not is_about_experiment(change):
        return change
    if "start" in change:
        experiment = _experiment(flag, "start", change["start"])
        if experiment.state != Experiment.State.DRAFT:
            raise Conflict(f"{experiment.key} is {experiment.get_state_display()} already.", code="experiment_started")
        checked_percents(flag, experiment.percents)
        return start_of(experiment)
    given = change["shares"]
    if not isinstance(given, dict) or not given.keys() <= _SHARES or not {"experiment", "percents"} <= given.keys():
        raise invalid("change", "Give of `shares` the key of the `experiment`, `percents` and if wanted `traffic`.")
    experiment = _experiment(flag, "shares", given["experiment"])
    if experiment.state != Experiment.State.RUNNING:
        raise Conflict(f"{experiment.key} does not run.", code="experiment_not_running")
    traffic = given.get("traffic")
    if traffic is not None and (isinstance(traffic, bool) or not isinstance(traffic, int | float)):
        raise invalid("traffic", "Give the percent of all who take part as a number.")
    shares, part = checked_shares(experiment, given["percents"], traffic, epochs_of(experiment))
    return shares_of(experiment, shares, part)


def do_with_experiment(flag: Flag, change: FlagChange, actor: Actor) -> Flag:
    """Do one that is due; the flag as it is then."""
    given: dict[str, Any] = {"reason": change.reason, "change_id": change.pk, "actor": actor}
    if "start" in change.change:
        start_experiment(_experiment(flag, "start", change.change["start"]["experiment"]).pk, **given)
    else:
        shares = change.change["shares"]
        experiment = _experiment(flag, "shares", shares["experiment"])
        reallocate(experiment.pk, shares["percents"], traffic=shares["traffic"], **given)
    return Flag.objects.get(pk=flag.pk)


def _experiment(flag: Flag, name: str, key: Any) -> Experiment:
    rows = Experiment.objects.select_related("flag").filter(flag=flag)
    found = rows.filter(key=key).first() if isinstance(key, str) and "\x00" not in key else None
    if found is None:
        known = ", ".join(rows.order_by("-pk").values_list("key", flat=True)[:10]) or "none"
        raise invalid("change", f"`{name}` names the key of an experiment of {flag.key}; there are: {known}.")
    return found
