"""The embedded mode's broker: messages appear whole, and each is taken once."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

import incidentportal.celery  # noqa: F401  # it knows the transport by its scheme


@pytest.fixture
def address(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "control").mkdir()
    return {
        "hostname": "files://localhost//",
        "transport_options": {
            "data_folder_in": str(tmp_path),
            "data_folder_out": str(tmp_path),
            "control_folder": str(tmp_path / "control"),
        },
    }


def test_readers_beside_writers_take_every_message_once_and_whole(address: dict[str, object], tmp_path: Path) -> None:
    written, taken = 4 * 200, []
    done = threading.Event()

    def write(number: int) -> None:
        with Connection(**address).SimpleQueue("timers") as queue:
            for count in range(200):
                queue.put({"writer": number, "count": count})

    def read() -> None:
        with Connection(**address) as connection:
            channel = connection.channel()
            while not done.is_set() or channel._size("timers"):
                try:
                    taken.append(channel._get("timers")["body"])
                except Empty:
                    continue

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert len(taken) == written, [p.name for p in tmp_path.iterdir()]
    assert not list(tmp_path.glob("*.msg"))
    assert not list(tmp_path.glob(".*"))
