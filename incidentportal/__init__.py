"""The project: settings, addresses and the entry points of its processes."""

from incidentportal.celery import app as celery_app

__all__ = ["celery_app"]
