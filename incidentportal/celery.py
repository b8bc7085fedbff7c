"""The Celery application. A message says only "look now"; the database is the queue."""

from __future__ import annotations

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_ready
from django.urls import reverse
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")

TRANSPORT_ALIASES["files"] = "apps.engine.broker:Transport"  # the embedded mode's broker
app = Celery("incidentportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _load_addresses(**kwargs: Any) -> None:
    """Each page links to the portal: the first one after a start doesn't wait a second for all the pages' code."""
    reverse("admin:index")


@worker_ready.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _keep_what_is_loaded(**kwargs: Any) -> None:
    """Modules live as long as the worker: leaving them out of collections makes these, and stopping, quick."""
    gc.collect()
    gc.freeze()
