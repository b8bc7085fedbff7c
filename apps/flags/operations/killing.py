"""Taking a variant away from everybody, while the others keep theirs."""

from __future__ import annotations

from apps.flags.events import VariantKilled
from apps.flags.experiment_queries import TO_FALLBACK, preview_variant_kill
from apps.flags.experiments.epochs import EVENLY
from apps.flags.models import AllocationEpoch, Experiment
from apps.flags.operations.allocating import locked_experiment, open_epoch, save_both, tell
from apps.flags.operations.changing import record_change
from apps.flags.operations.checking import about_subject, reason_of
from apps.flags.permissions import KILL
from apps.foundation.actor import Actor, acting
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject


@operation
def kill_variant(
    experiment_id: int,
    variant: str,
    *,
    mode: str = TO_FALLBACK,
    reason: str,
    about: Subject | None = None,
    expected_version: int | None = None,
    actor: Actor,
) -> Experiment:
    """Have nobody get `variant` any more, in every process within 2 seconds. A repeat changes nothing.

    Its enrolled go to the fallback, or with the mode `split_evenly` are placed like newcomers. Who is enrolled with
    another variant stays. Its slots go to the variants with the fewest until all have as many, so newcomers are split
    evenly where they can be without moving anybody; no slot of another variant changes hands.

    `about` links what it was killed for; only who may see that is told the reason. It is recorded as a change of each
    of the flag's services. Needs `flags.kill_flag` (for all, or granted on the flag) or to lead the owning team. Raises
    NotFound, Forbidden, PreconditionFailed, Conflict unless it runs, and Invalid for an unknown variant, the fallback,
    or no reason.
    """
    experiment, flag, revision = locked_experiment(experiment_id, KILL, expected_version=expected_version, actor=actor)
    why, subject = reason_of(reason), about_subject(about, actor)
    preview = preview_variant_kill(experiment, variant, mode)
    if preview.is_killed:
        return experiment
    to = experiment.fallback if mode == TO_FALLBACK else EVENLY
    open_epoch(
        experiment,
        preview.ranges,
        moves={variant: to},
        cause=AllocationEpoch.Cause.KILL,
        reason=why,
        about=subject,
        actor=actor,
    )
    # Rows of the history name no subject to ask who may see it, so they tell nothing that it could hide.
    with acting(actor, f"kill {variant}" if subject.kind else why):
        save_both(experiment, flag, revision, actor)
    told = {"variant": variant, "moved": preview.moved, "moved_to": to, "shares": preview.after}
    tell(VariantKilled, experiment, reason=why, about=subject, actor=actor, **told)
    record_change(flag, f"gives nobody {variant} any more: killed in the experiment {experiment.key}", actor)
    return experiment
