"""Where runbooks are in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.runbooks.api import authoring, executions, mitigations


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("runbooks", authoring.RunbookViewSet, basename="runbook")
    router.register("runbook-versions", authoring.RunbookVersionViewSet, basename="runbook-version")
    router.register("dry-runs", authoring.DryRunViewSet, basename="dry-run")
    router.register("executions", executions.ExecutionViewSet, basename="execution")
    router.register("mitigations", mitigations.MitigationViewSet, basename="mitigation")
    router.register("secrets", authoring.SecretViewSet, basename="secret")
