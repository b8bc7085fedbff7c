"""The admin pages of this app."""

from apps.runbooks.admin.dry_runs import DryRunAdmin
from apps.runbooks.admin.executions import ExecutionAdmin
from apps.runbooks.admin.mitigations import MitigationAdmin
from apps.runbooks.admin.runbooks import RunbookAdmin
from apps.runbooks.admin.secrets import SecretAdmin
from apps.runbooks.admin.versions import RunbookVersionAdmin

__all__ = ["DryRunAdmin", "ExecutionAdmin", "MitigationAdmin", "RunbookAdmin", "RunbookVersionAdmin", "SecretAdmin"]
