"""What each process reads of the experiments that run, to place people without a database."""

from __future__ import annotations

from django.db.models import OuterRef, Subquery

from apps.flags.experiments.plan import Plan
from apps.flags.models import AllocationEpoch, Experiment, HeldUnits
from apps.flags.snapshot import Plans


def read_plans(*, environment_id: int | None = None, alias: str = "default") -> Plans:
    """What flags with an experiment that runs are evaluated by. Two queries, whatever was recorded."""
    newest = AllocationEpoch.objects.filter(experiment=OuterRef("experiment")).order_by("-number").values("pk")[:1]
    epochs = AllocationEpoch.objects.using(alias).filter(
        experiment__state=Experiment.State.RUNNING, pk=Subquery(newest)
    )
    if environment_id is not None:
        epochs = epochs.filter(experiment__flag__environment_id=environment_id)
    rows = epochs.order_by().values_list(
        "pk",
        "number",
        "ranges",
        "experiment__key",
        "experiment__salt",
        "experiment__flag__environment__slug",
        "experiment__flag__key",
    )
    found = {
        pk: ((slug, flag), Plan(key, number, salt, ranges, {})) for pk, number, ranges, key, salt, slug, flag in rows
    }
    if not found:
        return {}
    for epoch_id, variant, packed in (
        HeldUnits.objects.using(alias).filter(epoch__in=list(found)).values_list("epoch_id", "variant", "packed")
    ):
        where, plan = found[epoch_id]
        found[epoch_id] = where, plan._replace(held={**plan.held, variant: bytes(packed)})
    return dict(found.values())
