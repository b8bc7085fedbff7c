"""The kinds that ship with the portal."""

from __future__ import annotations

from apps.runbooks.steps.approval import Approval
from apps.runbooks.steps.base import StepKind
from apps.runbooks.steps.config_apply import ConfigApply
from apps.runbooks.steps.config_restore import ConfigRestore
from apps.runbooks.steps.event_switch import EventPause, EventResume
from apps.runbooks.steps.experiment_kill import ExperimentKill
from apps.runbooks.steps.flag_change import FlagChange
from apps.runbooks.steps.health_check import HealthCheck
from apps.runbooks.steps.http_request import HttpRequest
from apps.runbooks.steps.manual import Manual
from apps.runbooks.steps.metric_check import MetricCheck
from apps.runbooks.steps.notify import Notify
from apps.runbooks.steps.pagerduty_resolve import PagerDutyResolve
from apps.runbooks.steps.snapshot_restore import SnapshotRestore
from apps.runbooks.steps.snapshot_take import SnapshotTake
from apps.runbooks.steps.sub_runbook import SubRunbook
from apps.runbooks.steps.wait import Wait
from apps.runbooks.steps.wait_until import WaitUntil
from apps.runbooks.steps.webhook import Webhook

SHIPPED: list[StepKind] = [
    HttpRequest(),
    ConfigRestore(),
    HealthCheck(),
    MetricCheck(),
    Wait(),
    Manual(),
    Notify(),
    FlagChange(),
    ExperimentKill(),
    ConfigApply(),
    Webhook(),
    WaitUntil(),
    Approval(),
    PagerDutyResolve(),
    SubRunbook(),
    EventPause(),
    EventResume(),
    SnapshotTake(),
    SnapshotRestore(),
]
