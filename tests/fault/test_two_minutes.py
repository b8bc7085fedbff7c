"""Two minutes under load in which everything dies that can; afterwards nothing is lost and nothing came twice unsaid.

FAULT_SEED repeats a run's plan: who is killed when, and the moods of the receivers.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time

import pytest

from benchmarks.rig import Rig, wait_until
from scripts.services import restartable_postgres
from tests.fault.chaos import TICKERS, WORKERS, Chaos, start
from tests.fault.checking import left, look, moods
from tests.fault.clients import Clients
from tests.fault.moody import Mood, Moody, moody_servers

CHAOS_SECONDS = float(os.environ.get("FAULT_SECONDS", "120"))
DRAIN_SECONDS = 120.0
LEASE_SECONDS, TIMEOUT_SECONDS = 4, 2
# Beyond the longest outage of the database: both tickers and a worker may have to start at that moment, on a machine
# that is starting everything else, too.
MARGIN_SECONDS = 40.0
# A receiver may be in a bad mood for several attempts, and a lane rests twice as long each time.
ACCEPTANCE_SECONDS = 90.0


@pytest.mark.timeout(600)
def test_two_minutes_of_kills_and_outages_lose_no_page_and_double_none_unsaid(fault_round: int) -> None:
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(1_000_000)) + fault_round
    print(f"FAULT_SEED={seed} makes this plan again")
    dice = random.Random(seed)
    with moody_servers() as servers, restartable_postgres() as postgres:
        if postgres is None:
            pytest.skip("PostgreSQL's programs are not installed.")
        environment = {
            "EMAIL_URL": f"smtp://127.0.0.1:{servers.mail_port}",
            "WEBHOOK_ALLOW_PRIVATE": "1",
            "MESSAGE_LEASE_SECONDS": str(LEASE_SECONDS),
            "MESSAGE_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
            "MESSAGE_FALLBACK_SECONDS": "10",
            "PAGE_BUNDLE_SECONDS": "10",
        }
        with Rig("minutes", server=postgres.url, **environment) as rig:
            hooks = [f"http://127.0.0.1:{hook.port}" for hook in servers.hooks]
            made = json.loads(rig.run("-m", "tests.fault.world", *hooks))
            for name in (*WORKERS, *TICKERS):
                start(rig, name)
            rig.start_web()
            intake = rig.url + "/in/" + made["address"].split("/in/", 1)[1]
            clients = Clients(rig, intake, made["token"], seed)
            clients.start()
            wait_until(lambda: rig.value("SELECT count(*) FROM paging_page") > 0, "the first page", 30)
            chaos = Chaos(rig, postgres, dice, CHAOS_SECONDS)
            over = threading.Event()
            for server in servers.all:
                _swing(server, random.Random(dice.random()), over)
            chaos.run()
            over.set()
            clients.stop_posting()
            clients.stop()
            ended = time.monotonic()
            wait_until(lambda: not left(rig), "everything comes to rest", DRAIN_SECONDS)
            drained = time.monotonic() - ended
            came = [item for server in servers.all for item in server.came()]
            found = look(rig, clients, came, chaos.told)
    met = [server.moods() for server in servers.all]
    for line in [*chaos.told.lines(), *moods(met), *found.figures, f"all was at rest {drained:.0f} s after the end"]:
        print(line)
    assert not clients.wrong
    assert not found.wrong, "\n".join(found.wrong[:40])
    longest = max((end - start for start, end in chaos.told.postgres_away), default=0.0)
    assert max(found.late) <= longest + MARGIN_SECONDS
    assert max(found.to_acceptance) <= ACCEPTANCE_SECONDS
    # A run in which nothing went wrong has shown nothing.
    told = chaos.told
    assert told.kills.total() >= CHAOS_SECONDS / 6
    assert all(told.kills[name] for name in (*WORKERS, *TICKERS, "web"))
    assert told.flushes > 0
    assert sorted(told.postgres_modes) == ["fast", "immediate"]
    assert [end - start >= 20 for start, end in told.redis_away] == [True]  # as the promise says
    # The refusing mood is short, so a receiver may meet nobody in it.
    assert all(sum(counted[mood] for counted in met) for mood in Mood if mood is not Mood.REFUSE)
    assert found.pages > CHAOS_SECONDS * 2
    assert {"acknowledge", "resolve", "clear"} == set(clients.done.values())
    assert found.maybe_sent > 0


def _swing(server: Moody, dice: random.Random, until: threading.Event) -> None:
    threading.Thread(target=server.swing, args=(dice, until), daemon=True).start()
