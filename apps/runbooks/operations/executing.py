"""The verbs of executions, as pages, the API and the command line call them."""

from __future__ import annotations

from apps.runbooks.operations.mitigating import use_mitigation
from apps.runbooks.operations.starting import bypass_and_execute, execute, start
from apps.runbooks.operations.steering import cancel, finish_manual, settle

__all__ = ["bypass_and_execute", "cancel", "execute", "finish_manual", "settle", "start", "use_mitigation"]
