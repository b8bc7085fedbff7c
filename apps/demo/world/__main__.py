"""Start the world: `python -m apps.demo.world --port 8900 --data-dir data`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from apps.demo.world.game import World
from apps.demo.world.server import LOOPBACK, WorldServer
from apps.demo.world.switches import Switches
from apps.demo.world.watcher import Watcher


def _tick(world: World, stopped: threading.Event) -> None:
    while not stopped.wait(1.0):
        world.tick()


def serve(port: int, data_dir: Path, *, portal_url: str, tells_alerts: bool, repeat_seconds: float = 30.0) -> None:
    """Run the world until SIGTERM or SIGINT. OSError when the port is taken."""
    folder = data_dir / "demo"
    world = World(folder / "world.json")
    watcher = Watcher(
        world,
        portal_file=folder / "portal.json",
        state_file=folder / "watcher.json",
        instance=f"{LOOPBACK}:{port}",
        tells_alerts=tells_alerts,
        repeat_seconds=repeat_seconds,
    )
    switches = Switches(world, portal_file=folder / "portal.json")
    server = WorldServer(port, world, watcher=watcher, switches=switches, portal_url=portal_url)
    stopped = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=_tick, args=(world, stopped), daemon=True).start()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
    threading.Thread(target=watcher.run, daemon=True).start()
    threading.Thread(target=switches.run, daemon=True).start()
    sys.stdout.write(f"The demo world answers on http://{LOOPBACK}:{server.server_port}/\n")
    sys.stdout.flush()
    stopped.wait()
    server.shutdown()
    server.server_close()


def main(arguments: list[str] | None = None) -> int:
    """The command line; 2 when the port can't be used."""
    parser = argparse.ArgumentParser(prog="python -m apps.demo.world", description=__doc__)
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--portal", default="", help="the portal's address, for the link on the page")
    parser.add_argument("--no-alerts", action="store_true", help="a real Alertmanager tells the portal what fires")
    parser.add_argument("--repeat-seconds", type=float, default=30.0)
    options = parser.parse_args(arguments)
    try:
        serve(
            options.port,
            options.data_dir,
            portal_url=options.portal,
            tells_alerts=not options.no_alerts,
            repeat_seconds=options.repeat_seconds,
        )
    except OSError as error:
        sys.stderr.write(f"The demo world can't start on port {options.port}: {error.strerror}.\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
