"""What the tests may use on this machine: skip what it lacks, but fail instead where CI demands all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def program(*names: str) -> str:
    """The path of the first of `names` that is installed, or an empty string."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    return ""


def chromium_path() -> str:
    """The browser that `CHROMIUM` names, or the one installed."""
    return os.environ.get("CHROMIUM", "") or program("chromium", "chromium-browser", "google-chrome")


NEEDS = {
    "postgres": ["PostgreSQL"],
    "redis": ["Redis"],
    "services": ["PostgreSQL", "Redis"],
    "fault": ["PostgreSQL", "Redis"],
    "browser": ["Chromium"],
    "e2e": ["PostgreSQL", "Redis", "Chromium", "Prometheus", "Alertmanager"],
}


def missing() -> set[str]:
    """What of all that the tests can use this machine lacks."""
    there = {
        "PostgreSQL": connection.vendor == "postgresql",
        "Redis": bool(settings.REDIS_URL),
        "Chromium": bool(chromium_path()),
        "Prometheus": bool(program("prometheus")),
        "Alertmanager": bool(program("prometheus-alertmanager", "alertmanager")),
    }
    return {name for name, found in there.items() if not found}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail under CI, a test whose marker asks for what is missing."""
    lacking = missing()
    for marker, needs in NEEDS.items():
        if item.get_closest_marker(marker) and (gaps := [name for name in needs if name in lacking]):
            reason = f"this machine has no {', no '.join(gaps)}"
            pytest.fail(f"CI demands it, but {reason}") if CI else pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line on what ran on which servers and what could not run."""
    gaps = sorted(missing())
    ran_on = f"{connection.vendor} and {'Redis' if settings.REDIS_URL else 'no broker'}"
    could_not = f"tests that need {', '.join(gaps)} could not run" if gaps else "nothing was left out"
    terminalreporter.write_line(f"Ran on {ran_on}; {could_not}.")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, driven by Playwright; for tests marked `browser` or `e2e`."""
    from playwright.sync_api import sync_playwright

    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright keeps an event loop in this thread
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGUMENTS)
        yield launched
        launched.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
