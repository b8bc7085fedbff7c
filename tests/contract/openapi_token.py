"""Run inside a rig: an organisation with an incident, and a token that may do everything; printed as JSON."""

from __future__ import annotations

import json
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")

if __name__ == "__main__":
    import django

    django.setup()
    from benchmarks.seed import incidents, organisation
    from tests import factories

    incidents(3, organisation(with_mail=True))
    print(json.dumps({"token": factories.token(factories.superuser(username="root"), "*")[1]}))
