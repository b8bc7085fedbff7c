"""What the portal that runs on this data folder was started with, for commands in another terminal.

`manage.py portal` writes it into the file that it keeps locked. So `manage.py rollback economy` reaches the same demo
world, at whatever port it listens, without any variable being set again.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

LOCK = "portal.lock"
_NAMES = ("HOST", "PORT", "PUBLIC_URL", "WORLD_URL", "DEMO", "EGRESS_ALLOW")


def follow_the_running_portal(data_dir: Path) -> None:
    """Take over what is not set in the environment. Nothing when no portal runs there, or its file can't be read."""
    try:
        with (data_dir / LOCK).open(encoding="utf-8") as file:
            if _is_free(file.fileno()):
                return
            told = json.loads(file.read() or "{}")
    except (OSError, ValueError):
        return
    for name in _NAMES:
        if isinstance(told, dict) and isinstance(told.get(name), str):
            os.environ.setdefault(name, told[name])


def _is_free(descriptor: int) -> bool:
    """Whether nobody holds the lock: then what stands in the file is left over from a portal that was killed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
