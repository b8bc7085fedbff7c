"""The API keeps what its OpenAPI document says, whatever is sent to it: schemathesis against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.rig import Rig

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
]


@pytest.mark.services
@pytest.mark.timeout(900)
def test_schemathesis_finds_nothing() -> None:
    with Rig("openapi", WEBHOOK_ALLOW_PRIVATE="0") as rig:
        rig.start_web(processes=2, interface="wsgi")
        token = json.loads(rig.run("-m", "tests.contract.openapi_token"))["token"]
        command = [
            str(Path(sys.executable).parent / "schemathesis"),
            f"--config-file={Path(__file__).with_name('schemathesis.toml')}",
            "run",
            f"{rig.url}/api/schema/?format=json",
            f"--header=Authorization: Bearer {token}",
            f"--checks={','.join(CHECKS)}",
            f"--max-examples={os.environ.get('SCHEMATHESIS_EXAMPLES', '8')}",
            "--phases=examples,coverage,fuzzing",
            "--suppress-health-check=all",
            "--seed=20260101",
            "--generation-database=none",
            "--workers=2",
            "--warnings=off",
            "--no-color",
        ]
        done = subprocess.run(
            command, cwd=rig.folder, env=rig.environ, capture_output=True, text=True, check=False, timeout=860
        )
        print(done.stdout[-1500:])
        assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
