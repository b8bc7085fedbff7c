"""The feed in real calendar programs: vdirsyncer fetches it over HTTP, khal prints the shifts."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.oncall.operations import add_override, cancel_override, create_feed
from tests.factories import actor, named, rotation, team
from tests.pages.conftest import portal, portal_server

__all__ = ["portal", "portal_server"]
pytestmark = [pytest.mark.calendar, pytest.mark.django_db(transaction=True)]

VDIRSYNCER = """
[general]
status_path = "{home}/status"

[pair shifts]
a = "portal"
b = "folder"
collections = null
conflict_resolution = "a wins"

[storage portal]
type = "http"
url = "{url}"

[storage folder]
type = "filesystem"
path = "{home}/shifts"
fileext = ".ics"
"""
KHAL = """
[calendars]
[[shifts]]
path = {home}/shifts
type = calendar

[locale]
timeformat = %H:%M
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
local_timezone = UTC
default_timezone = UTC

[sqlite]
path = {home}/khal.db

[default]
default_calendar = shifts
"""


def run(home: Path, *command: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert "error" not in done.stderr.lower(), done.stderr
    return done.stdout


def synced(home: Path) -> list[Path]:
    run(home, "vdirsyncer", "-c", str(home / "vdirsyncer.conf"), "sync")
    return sorted((home / "shifts").glob("*.ics"))


def test_shifts_arrive_change_and_vanish_without_doubles(portal: str, tmp_path: Path) -> None:
    ana, ben, cat = (named(name, "responder") for name in ("ana", "ben", "cat"))
    weekly = rotation(team("Core"), ana, ben, name="Core primary")
    _, token = create_feed(rotation_id=weekly.pk, actor=actor(ana))
    settings = {"home": tmp_path, "url": f"{portal}/oncall/feed/{token}.ics"}
    (tmp_path / "shifts").mkdir()
    (tmp_path / "vdirsyncer.conf").write_text(VDIRSYNCER.format(**settings))
    (tmp_path / "khal.conf").write_text(KHAL.format(**settings))
    run(tmp_path, "vdirsyncer", "-c", str(tmp_path / "vdirsyncer.conf"), "discover")
    first = synced(tmp_path)
    assert len(first) > 25
    assert synced(tmp_path) == first

    begins = (now() + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    cover = add_override(weekly.pk, cat.pk, begins, begins + timedelta(hours=5), actor=Actor.system())
    synced(tmp_path)
    listed = run(tmp_path, "khal", "-c", str(tmp_path / "khal.conf"), "list", f"{begins:%Y-%m-%d}", "1d")
    print(listed)
    assert "Cat: Core primary" in listed
    assert f"{begins:%H:%M}" in listed
    assert "Ana: Core primary" in listed or "Ben: Core primary" in listed

    cancel_override(cover.pk, actor=Actor.system())
    assert len(synced(tmp_path)) == len(first)
    listed = run(tmp_path, "khal", "-c", str(tmp_path / "khal.conf"), "list", f"{begins:%Y-%m-%d}", "1d")
    assert "Cat" not in listed
