"""The Celery application. A message says only "look now"; the database is the queue."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")

app = Celery("incidentportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
