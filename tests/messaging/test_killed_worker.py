"""A worker that is killed in the middle of a send."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection

from apps.foundation.clock import now
from apps.messaging.models import Message
from apps.messaging.operations import send_due
from tests.messaging.conftest import webhook
from tests.messaging.servers import Answer, Receiver

WORKER = "import django; django.setup(); from apps.messaging.operations import send_due; send_due()"


def worker() -> subprocess.Popen[bytes]:
    """A real process that sends what is due in the test's database."""
    found = connection.settings_dict
    url = f"postgres://{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "incidentportal.settings",
        "WEBHOOK_ALLOW_PRIVATE": "1",
        "PYTHONPATH": str(settings.BASE_DIR),
    }
    return subprocess.Popen([sys.executable, "-c", WORKER], env=environment, cwd=settings.BASE_DIR)


@pytest.mark.postgres
@pytest.mark.timeout(60)
@pytest.mark.django_db(transaction=True)
def test_what_a_killed_worker_may_have_sent_says_so_and_is_repeated_with_the_same_key(receiver: Receiver) -> None:
    receiver.answer = lambda request: Answer(after_seconds=0 if len(receiver.requests) > 1 else 30)
    message = webhook(receiver.url())
    process = worker()
    until = time.monotonic() + 30
    while not receiver.requests and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert send_due() == 0  # its lease still runs
    Message.objects.update(lease_until=now() - timedelta(seconds=1))
    assert send_due() == 1
    message.refresh_from_db()
    assert (message.state, message.maybe_sent_at is not None) == ("sent", True)
    assert list(message.attempt_log.values_list("outcome", flat=True)) == ["unknown", "accepted"]
    assert len({request.headers["Idempotency-Key"] for request in receiver.requests}) == 1
    assert len(receiver.requests) == 2
