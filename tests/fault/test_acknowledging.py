"""Acknowledging at the very instant at which the escalation fires: nothing of the old run happens afterwards."""

from __future__ import annotations

import json
import subprocess
import sys

from aiosmtpd.controller import Controller

from benchmarks.rig import ROOT, Rig, free_port, wait_until

RACES = 200


class Mailbox:
    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802  # aiosmtpd's name
        return "250 OK"


def test_acknowledge_racing_escalation_two_hundred_times() -> None:
    controller = Controller(Mailbox(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        # Each page by itself: this is about the looks at single messages.
        with Rig("race", EMAIL_URL=f"smtp://127.0.0.1:{controller.port}", PAGE_BUNDLE_SECONDS="0") as rig:
            for name, queue in (("one", "timers"), ("two", "timers"), ("three", "messages"), ("four", "messages")):
                rig.start_worker(name, queue)
            rig.start_ticker()
            check(rig)
    finally:
        controller.stop()


def check(rig: Rig) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fault.race", str(RACES)],
        cwd=ROOT, env=rig.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    acknowledged = {int(key): at for key, at in json.loads(done.stdout).items()}
    assert len(acknowledged) == RACES
    wait_until(
        lambda: rig.value("SELECT count(*) FROM messaging_message WHERE state IN ('queued', 'sending')") == 0,
        "every message was sent or void",
        60,
    )
    late_pages = late_looks = in_flight = escalated = 0
    for key, at in acknowledged.items():
        pages = rig.query(
            "SELECT level, extract(epoch FROM created_at)::float AS at FROM paging_page WHERE escalation_id = %s", key
        )
        escalated += any(page["level"] > 1 for page in pages)
        late_pages += sum(page["at"] > at for page in pages)
        for sent in rig.query(
            "SELECT extract(epoch FROM last_look_at)::float AS look, extract(epoch FROM sent_at)::float AS sent "
            "FROM messaging_message WHERE guard_key = %s AND guard_run = 1 AND state = 'sent' AND channel = 'email'",
            str(key),
        ):
            late_looks += sent["look"] > at
            in_flight += sent["look"] <= at < sent["sent"]
    print(
        f"{RACES} races: {escalated} escalated first, {late_pages} pages and {late_looks} last looks after the "
        f"acknowledgement committed, {in_flight} sends were in flight at that moment"
    )
    assert 0 < escalated < RACES  # both sides won some
    assert (late_pages, late_looks) == (0, 0)
