"""Run inside a rig: processes that do what is due of executions, as Celery's do; a killed one is replaced at once.

Celery gives the message of a killed process back only after ten seconds, and its slot with it; with five kills in a
row in each of many steps that would need a pool of fifty.

python -m tests.fault.workers 6
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")


def work() -> None:
    """Look for what is due for ever."""
    from django.db import Error, connections

    from apps.engine.sweeping import run_sweeper

    while True:
        try:
            run_sweeper("runbooks.execute_step")
        except Error:
            connections.close_all()
        time.sleep(0.1)


def main(slots: int) -> None:
    import django

    django.setup()
    children: set[int] = set()
    while True:
        while len(children) < slots:
            pid = os.fork()
            if pid == 0:
                work()
            children.add(pid)
        children.discard(os.waitpid(-1, 0)[0])


if __name__ == "__main__":
    main(int(sys.argv[1]))
