"""The one question of every operation: may this actor do this, to this?"""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model

from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden
from apps.people.models import User
from apps.people.queries import user_of


def user_allowed(user: User | AnonymousUser, permission: str, obj: Model | None = None) -> bool:
    """Whether an active `user` holds `permission` ("app.codename") for all, or by a grant for `obj` alone."""
    if not user.is_active:
        return False
    if user.has_perm(permission):
        return True
    # Guardian raises for a permission of another app than the object's; no grant can exist for that.
    if obj is None or obj.pk is None or permission.partition(".")[0] != obj._meta.app_label:
        return False
    return user.has_perm(permission, obj)


def allowed(actor: Actor, permission: str, obj: Model | None = None) -> bool:
    """Whether `actor` may use `permission`; the portal itself always may, a deleted or inactive account never."""
    if actor.is_system:
        return True
    user = user_of(actor)
    return user is not None and user_allowed(user, permission, obj)


def require(actor: Actor, permission: str, obj: Model | None = None) -> None:
    """Raise Forbidden, with a sentence that names the missing permission, unless `allowed`."""
    if not allowed(actor, permission, obj):
        raise Forbidden(
            f"{actor.name} may not do this: it needs the permission {permission}.",
            extra={"permission": permission},
        )
