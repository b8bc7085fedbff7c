"""What the roles of packs mean: a rotation or a person."""

from __future__ import annotations

from django.db.models import Q

from apps.catalog.models import Team
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.oncall.events import RoleBound
from apps.oncall.models import RoleBinding, Rotation, RotationMember
from apps.oncall.operations.checking import active_user, check_row
from apps.oncall.permissions import require_edit


@operation
def bind_role(
    role: str,
    *,
    team_id: int | None = None,
    rotation_id: int | None = None,
    user_id: int | None = None,
    reason: str = "",
    actor: Actor,
) -> RoleBinding:
    """Say what a role of the packs means for a team, or, without a team, for all that have no binding of their own.

    It means either a rotation or a person; it replaces what the role meant before, and the same again changes
    nothing. For managers, and leads for their team. Raises NotFound, Forbidden, Invalid, and Conflict for a rotation
    without members.
    """
    require_edit(actor, team_id, "oncall.change_rolebinding")
    if (rotation_id is None) == (user_id is None):
        raise Invalid("A role means a rotation or a person.", fields={"rotation": ["Give it, or a person, not both."]})
    if team_id is not None and not Team.objects.select_for_update().filter(pk=team_id).exists():
        raise NotFound("There is no such team.")
    if rotation_id is not None:
        _check_rotation(rotation_id)
    if user_id is not None:
        active_user(user_id)
    of = Q(team__isnull=True) if team_id is None else Q(team_id=team_id)
    there = RoleBinding.objects.select_for_update().filter(of, role=role).first()
    if there is not None and (there.rotation_id, there.user_id) == (rotation_id, user_id):
        return there
    binding = there or RoleBinding(role=role, team_id=team_id)
    binding.rotation_id, binding.user_id = rotation_id, user_id
    check_row(binding)
    binding.save()
    _publish_binding(binding, actor)
    return binding


@operation
def unbind_role(binding_id: int, *, reason: str = "", actor: Actor) -> None:
    """Take back what a role means. For managers, and leads for their team. Raises NotFound, Forbidden."""
    binding = RoleBinding.objects.select_for_update().filter(pk=binding_id).first()
    if binding is None:
        raise NotFound("There is no such role.")
    require_edit(actor, binding.team_id, "oncall.delete_rolebinding")
    binding.delete()
    binding.rotation_id = binding.user_id = None
    _publish_binding(binding, actor)


def _check_rotation(rotation_id: int) -> None:
    """Raise NotFound, or Conflict for a rotation that can put nobody on call."""
    rotation = Rotation.objects.filter(pk=rotation_id).first()
    if rotation is None:
        raise NotFound("There is no such rotation.")
    there = Q(effective_until__isnull=True) | Q(effective_until__gt=now())
    if not RotationMember.objects.filter(there, layer__rotation=rotation).exists():
        sentence = f"{rotation.name} has no members: pages to this role would reach nobody. Add people first."
        raise Conflict(sentence, code="rotation_has_no_members", fields={"rotation": [sentence]})


def _publish_binding(binding: RoleBinding, actor: Actor) -> None:
    event = RoleBound(
        role=binding.role, team_id=binding.team_id, rotation_id=binding.rotation_id, user_id=binding.user_id
    )
    publish(event, subject=Subject("", ""), actor=actor)
