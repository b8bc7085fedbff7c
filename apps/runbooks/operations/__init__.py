"""The verbs of this app."""

from apps.runbooks.operations.ahead import approve_version_ahead
from apps.runbooks.operations.authoring import activate_version, create_runbook, edit_runbook, retire, save_version
from apps.runbooks.operations.buttons import create_mitigation, delete_mitigation, edit_mitigation
from apps.runbooks.operations.keeping import delete_secret, set_secret
from apps.runbooks.operations.library import load_library
from apps.runbooks.operations.reviewing import review

__all__ = [
    "activate_version",
    "approve_version_ahead",
    "create_mitigation",
    "create_runbook",
    "delete_mitigation",
    "delete_secret",
    "edit_mitigation",
    "edit_runbook",
    "load_library",
    "retire",
    "review",
    "save_version",
    "set_secret",
]
