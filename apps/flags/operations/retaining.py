"""The end of ledgers: some days after an experiment has ended only counts are kept."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from apps.engine.models import Timer
from apps.engine.timers import NewTimer, schedule_many
from apps.flags.experiment_queries import enrolled, epochs_of, ratio_figures
from apps.flags.models import Experiment, Exposure, HeldUnits, LedgerSummary
from apps.foundation.clock import now

LEDGER_TIMER = "flags.ledger"
AT = time(4, tzinfo=UTC)
BATCH = 20_000
PAUSE = timedelta(seconds=5)


def sweep_ledgers() -> int:
    """Remove up to 20,000 exposures of experiments that ended `EXPOSURE_DAYS` ago; how many went.

    Before the first of an experiment goes, what they say together is kept: figures stay as they are. A round is
    bounded, and schedules the next one: in seconds while there are more, else for the night. A repeat finds less.
    """
    experiment = _due().order_by("ended_at", "pk").first()
    removed = 0
    if experiment is not None:
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        _keep_summary(locked)
        rows = Exposure.objects.filter(experiment=locked)
        last = rows.order_by("unit").values_list("unit", flat=True)[BATCH - 1 : BATCH].first()
        removed, _ = (rows if last is None else rows.filter(unit__lte=last)).delete()
        HeldUnits.objects.filter(epoch__experiment=locked).delete()
    _schedule(now() + PAUSE if removed else _night())
    return removed


def _due() -> QuerySet[Experiment]:
    ended = Q(state=Experiment.State.ENDED, ended_at__lt=now() - timedelta(days=settings.EXPOSURE_DAYS))
    seen = Exists(Exposure.objects.filter(experiment=OuterRef("pk")))
    held = Exists(HeldUnits.objects.filter(epoch__experiment=OuterRef("pk")))
    return Experiment.objects.filter(ended).filter(seen | held)


def _keep_summary(experiment: Experiment) -> None:
    """Written once, before anything goes; from then on it is what figures are read from."""
    if LedgerSummary.objects.filter(experiment=experiment).exists():
        return
    epochs = epochs_of(experiment)
    people, ratio = enrolled(experiment, epochs), ratio_figures(experiment, epochs)
    rows = Exposure.objects.filter(experiment=experiment).order_by("epoch", "variant")
    counted = rows.values_list("epoch", "variant").annotate(count=Count("pk"))
    LedgerSummary.objects.create(
        experiment=experiment,
        counts=[{"epoch": epoch, "variant": variant, "count": count} for epoch, variant, count in counted],
        enrolled=people.by_variant,
        unplanned=people.unplanned,
        ratio_count=ratio.count,
        ratio_statistic=ratio.statistic,
        ratio_freedom=ratio.freedom,
        ratio_p_value=ratio.p_value,
    )


def _night() -> datetime:
    return datetime.combine(now().astimezone(UTC).date() + timedelta(days=1), AT)


def _schedule(at: datetime) -> None:
    schedule_many([NewTimer(LEDGER_TIMER, "all", 1, int(at.timestamp()), at)])


def keep_sweeping() -> list[str]:
    """For the check of invariants: where there are experiments, a sweep is to come. Nothing worth a word is wrong."""
    is_needed = Experiment.objects.exclude(state=Experiment.State.DRAFT).exists()
    if is_needed and not Timer.objects.filter(kind=LEDGER_TIMER, state=Timer.State.PENDING).exists():
        with transaction.atomic():
            _schedule(_night())
    return []
