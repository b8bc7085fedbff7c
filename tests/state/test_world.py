"""The demo world as a source: a broken config is seen, put back over real HTTP, and the world is well again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.catalog.models import Change
from apps.demo.world.game import World
from apps.demo.world.server import WorldServer
from apps.demo.world.switches import Switches
from apps.demo.world.watcher import Watcher
from apps.state import operations
from apps.state.queries import preview_restore
from tests.state.making import PORTAL, again, at_source

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(tmp_path: Path, settings: Any) -> Iterator[tuple[World, str]]:
    game = World(tmp_path / "world.json")
    files = {"portal_file": tmp_path / "portal.json", "state_file": tmp_path / "watcher.json"}
    watcher = Watcher(game, instance="127.0.0.1:1", tells_alerts=False, **files)
    switches = Switches(game, portal_file=tmp_path / "portal.json")
    server = WorldServer(0, game, watcher=watcher, switches=switches, portal_url="http://127.0.0.1:1")
    settings.EGRESS_ALLOW = [f"127.0.0.1:{server.server_port}"]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield game, f"http://127.0.0.1:{server.server_port}/config"
    server.shutdown()
    server.server_close()


def test_a_restore_heals_the_demo_world(world: tuple[World, str]) -> None:
    game, address = world
    document = at_source(address)
    game.break_it("bad-config")
    assert game.faults() == ["bad-config"]
    assert operations.capture(document.pk, actor=PORTAL).source_author == "loot designer"
    assert Change.objects.filter(kind="config", author="loot designer").exists()
    preview = preview_restore(again(document))
    assert [entry["path"] for entry in preview.changes] == ["economy.drop_rate"]
    assert preview.live is not None
    done = operations.restore(
        document.pk, expected_checksum=preview.live.checksum, effect_key="run", reason="500 %", actor=PORTAL
    )
    assert (done.changed, game.faults()) == (True, [])
    assert game.config()["author"] == "portal"


def test_undoing_puts_the_backup_back(world: tuple[World, str]) -> None:
    game, address = world
    document = at_source(address)
    game.break_it("bad-config")
    done = operations.restore(document.pk, expected_checksum=None, effect_key="run", reason="500 %", actor=PORTAL)
    operations.restore(
        document.pk,
        version_id=done.backup.pk,
        expected_checksum=done.version.checksum,
        effect_key="undo",
        reason="undone",
        actor=PORTAL,
    )
    assert game.faults() == ["bad-config"]
