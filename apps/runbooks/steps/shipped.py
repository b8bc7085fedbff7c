"""The kinds that ship with the portal."""

from __future__ import annotations

from apps.runbooks.steps.base import StepKind
from apps.runbooks.steps.config_restore import ConfigRestore
from apps.runbooks.steps.health_check import HealthCheck
from apps.runbooks.steps.http_request import HttpRequest
from apps.runbooks.steps.manual import Manual
from apps.runbooks.steps.metric_check import MetricCheck
from apps.runbooks.steps.notify import Notify
from apps.runbooks.steps.wait import Wait

SHIPPED: list[StepKind] = [
    HttpRequest(),
    ConfigRestore(),
    HealthCheck(),
    MetricCheck(),
    Wait(),
    Manual(),
    Notify(),
]
