"""The Celery application. A message says only "look now"; the database is the queue."""

from __future__ import annotations

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")

TRANSPORT_ALIASES["files"] = "apps.engine.broker:Transport"  # the embedded mode's broker
app = Celery("incidentportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
