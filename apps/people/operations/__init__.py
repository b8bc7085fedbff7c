"""Verbs on accounts: groups, contact points, tokens, service accounts, the portal's own account."""

from apps.people.operations.accounts import make_administrator, portal_user, publish_standing, set_groups, sync_groups
from apps.people.operations.answers import ANSWERS_KEPT_FOR, forget_old_answers, has_old_answers
from apps.people.operations.contact_points import (
    add_contact_point,
    confirm_contact_point,
    disable_contact_point,
    mark_contact_point_broken,
    note_reminder,
    prove_contact_point,
    remove_contact_point,
    verify_contact_point,
    want_contact_code,
)
from apps.people.operations.tokens import (
    create_service_account,
    create_token,
    deactivate_service_account,
    revoke_token,
)

__all__ = [
    "ANSWERS_KEPT_FOR",
    "add_contact_point",
    "confirm_contact_point",
    "create_service_account",
    "create_token",
    "deactivate_service_account",
    "disable_contact_point",
    "forget_old_answers",
    "has_old_answers",
    "make_administrator",
    "mark_contact_point_broken",
    "note_reminder",
    "portal_user",
    "prove_contact_point",
    "publish_standing",
    "remove_contact_point",
    "revoke_token",
    "set_groups",
    "sync_groups",
    "verify_contact_point",
    "want_contact_code",
]
