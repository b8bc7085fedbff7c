#!/usr/bin/env python
"""The command line of the portal."""

import os
import sys
from pathlib import Path

from incidentportal.running import follow_the_running_portal


def main() -> None:
    """Run a management command, with the addresses of the portal that runs on this data folder, where one does."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")
    if sys.argv[1:2] != ["portal"]:
        follow_the_running_portal(Path(os.environ.get("DATA_DIR") or Path(__file__).parent / "data"))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
