"""What the tests may use on this machine: skip what it lacks, but fail instead where CI demands all."""

from __future__ import annotations

import gc
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.core.management.commands import flush
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations

from benchmarks import rig
from benchmarks.private import SERVER
from tests.template_database import template, template_server

# How long a case takes to make or to run depends on what else the machine does, and says nothing of the code.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")

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


# What takes long begins early, so that two processes end together; a part of it is a test's own name.
LONGEST = (
    "contract/test_permission_table.py",
    "contract/test_openapi_document.py",
    "pages/test_queries.py",
    "runbooks/test_hidden_words.py",
    "flags/test_ofrep_server.py",
    "alerts/test_intake_server.py",
    "alerts/test_grouping_at_scale.py",
    "incidents/test_streams.py",
)
# Their tests are shared out one by one: a few long ones, or browser's, which all use one server of their process.
SINGLY = ("test_permission_table.py", "_browser.py", "pages/test_live.py", "pages/test_accessible")
# Other processes make and migrate these rows by name; a flush that leaves them need not make them again.
STAY = frozenset({"django_content_type", "auth_permission"})
# Almost every test wants the groups: they are made once, and what a flush takes away comes back from a copy.
GROUPS = ("auth_group", "auth_group_permissions")

NEEDS = {
    "postgres": ["PostgreSQL"],
    "redis": ["Redis"],
    "services": ["PostgreSQL", "Redis"],
    "fault": ["PostgreSQL", "Redis"],
    "browser": ["Chromium"],
    "calendar": ["khal", "vdirsyncer"],
    "javascript": ["Node.js"],
    "e2e": ["PostgreSQL", "Redis", "Chromium", "Prometheus", "Alertmanager"],
}


def missing() -> set[str]:
    """What of all that the tests can use this machine lacks."""
    there = {
        "PostgreSQL": connection.vendor == "postgresql",
        "Redis": bool(settings.REDIS_URL),
        "Chromium": bool(chromium_path()),
        "Prometheus": bool(program("prometheus")),
        "khal": bool(program("khal")),
        "Node.js": bool(program("node") and program("npm")),
        "vdirsyncer": bool(program("vdirsyncer")),
        "Alertmanager": bool(program("prometheus-alertmanager", "alertmanager")),
    }
    return {name for name, found in there.items() if not found}


def _turn(item: pytest.Item) -> int:
    """When a test's turn comes: the longest files first, and the browser last, because its driver leaves an event loop
    running in the thread, in which no other test can start one."""
    if item.get_closest_marker("e2e") or item.get_closest_marker("services"):
        return len(LONGEST) + 2
    if item.get_closest_marker("browser") or item.get_closest_marker("javascript"):
        return len(LONGEST) + 1
    file = item.nodeid.partition("::")[0]
    return next((place for place, name in enumerate(LONGEST) if file.endswith(name)), len(LONGEST))


@pytest.hookimpl(trylast=True)  # after the folders' own, which mark their tests
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)
    gc.collect()
    gc.freeze()  # modules and tests stay: nobody need look again and again whether they are still in use
    gc.set_threshold(20_000, 20, 20)  # and what a test leaves is looked through less often than by default


def _scopes(collection: Sequence[str]) -> dict[str, str]:
    """What runs in one piece, for each test: its file, or what was sorted together of it, so that a browser's tests
    come last also where a file has others."""
    found: dict[str, str] = {}
    runs: Counter[str] = Counter()
    last = ""
    for nodeid in collection:
        file = nodeid.partition("::")[0]
        if file != last:
            runs[file], last = runs[file] + 1, file
        found[nodeid] = nodeid if any(name in file for name in SINGLY) else f"{file}#{runs[file]}"
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files stay in one process, because their fixtures serve all of their tests; those in SINGLY need not."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # without types
        scopes: Mapping[str, str] = {}

        def _split_scope(self, nodeid: str) -> str:
            if not self.scopes:
                self.scopes = _scopes(self.collection)
            return self.scopes[nodeid]

    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def _delete_all(
    self: DatabaseOperations, style: Any, tables: Any, *, reset_sequences: bool = False, allow_cascade: bool = False
) -> list[str]:
    """What `flush` runs: TRUNCATE would make a new file for every table, also an empty one, and wait for the disk."""
    names = [self.quote_name(table) for table in tables if table not in STAY]
    lock = f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE"  # as TRUNCATE does: servers may still write
    back = [f"INSERT INTO {name} SELECT * FROM kept_{name}" for name in GROUPS]  # noqa: S608  # names from above
    return [lock, *(f"DELETE FROM {name}" for name in names), *back]  # noqa: S608  # Django's own names


@pytest.fixture(autouse=True, scope="session")
def quick_flush() -> Iterator[None]:
    """Tests that commit are cleaned up after by deleting their rows; sequences go on counting, as before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", _delete_all)
        if connection.vendor == "postgresql":  # where a flush leaves what this would make anew
            patch.setattr(flush, "emit_post_migrate_signal", lambda *args, **more: None)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The groups with their permissions are there when a test begins, as in every installation."""
    from apps.people.models import User
    from apps.people.operations import sync_groups

    name = str(connection.settings_dict["NAME"])
    if "test" not in name and "memory" not in name:
        # pytest-django makes one only for a selection in which some test has the mark `django_db`.
        pytest.fail(f"The tests have no database of their own, and {name} is not theirs: mark one with django_db.")
    with django_db_blocker.unblock():
        sync_groups()
        User.objects.all().delete()  # the portal's account: tests begin without people
        User.history.all().delete()  # type: ignore[attr-defined]  # simple-history's
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                for name in GROUPS:
                    cursor.execute(f"CREATE TABLE kept_{name} AS TABLE {name}")


@pytest.fixture(autouse=True, scope="session")
def remembered_packs() -> Iterator[None]:
    """The same few texts are imported by two thousand tests: each is parsed once, and everybody gets a copy."""
    import pickle
    from functools import cache

    from apps.policies import operations
    from apps.policies.loading import load

    @cache
    def parsed(text: str) -> bytes:
        return pickle.dumps(load(text))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "load", lambda text: pickle.loads(parsed(text)))  # noqa: S301  # our own, of a moment ago
        yield


def pytest_sessionstart(session: pytest.Session) -> None:
    """The template is made here and not by the first test that needs it, whose time is limited."""
    if not hasattr(session.config, "workerinput") and not session.config.getoption("collectonly"):
        name = template()
        if name and template_server() == SERVER:
            rig.begin_with(name)  # whole portals begin where tests do


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """The tests' database starts as a copy of one that was migrated before."""
    if name := template():
        settings.DATABASES["default"].setdefault("TEST", {})["TEMPLATE"] = name
        connection.settings_dict["TEST"]["TEMPLATE"] = name


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
