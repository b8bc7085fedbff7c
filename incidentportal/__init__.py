"""The project: settings, addresses and the entry points of its processes."""

import gc

# Loading two thousand modules makes hundreds of thousands of objects that all stay: looking through them each 700 new
# ones is a sixth of a start. Requests and sweeps make few cycles.
gc.set_threshold(50_000, 10, 10)

from incidentportal.celery import app as celery_app  # noqa: E402  # after the above, or the loading is not quicker

__all__ = ["celery_app"]
