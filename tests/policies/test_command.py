"""`manage.py policy`."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.policies.models import PolicyVersion
from apps.policies.queries import active_version
from tests.factories import novacron, novacron_text

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    out = StringIO()
    call_command("policy", *args, stdout=out)
    return out.getvalue()


def written(folder: Path, *replaced: tuple[str, str]) -> str:
    path = folder / "pack.yaml"
    path.write_text(novacron_text(*replaced), encoding="utf-8")
    return str(path)


def test_validate_says_yes_or_where_not(tmp_path: Path) -> None:
    assert "is a valid pack" in run("validate", written(tmp_path))
    out = StringIO()
    with pytest.raises(CommandError, match=r"1 problem"):
        call_command("policy", "validate", written(tmp_path, ("after: 5m", "after: x")), stdout=out)
    assert "pack.yaml:" in out.getvalue()
    assert "escalation.path[1].after: 'x' is not a duration" in out.getvalue()


def test_what_is_imported_is_exported_byte_for_byte(tmp_path: Path) -> None:
    assert run("import", written(tmp_path), "--activate", "--reason", "first").strip() == "novacron-v2@1 (active)"
    assert run("export", "novacron-v2") == novacron_text()
    assert run("import", written(tmp_path)).strip() == "novacron-v2@1 (active)"


def test_diff_and_activate(tmp_path: Path) -> None:
    novacron()
    changed = written(tmp_path, ("target: 5m", "target: 4m"))
    assert 'severities[P0].clocks.target: "5m" → "4m"' in run("diff", "novacron-v2", changed, "--structural")
    assert "+    clocks: {response: 1m, target: 4m}" in run("diff", "novacron-v2", changed)
    run("import", changed, "--note", "faster")
    assert "-    clocks: {response: 1m, target: 5m}" in run("diff", "novacron-v2", "2")
    assert run("activate", "novacron-v2@2", "--reason", "agreed").strip() == "novacron-v2@2 is active."
    assert active_version().number == 2


@pytest.mark.parametrize(
    "args",
    [
        ("import", "/nowhere.yaml"),
        ("export", "nothing"),
        ("export", "novacron-v2@9"),
        ("export", "novacron-v2@x"),
        ("diff", "novacron-v2", "9"),
    ],
)
def test_what_does_not_exist_is_one_sentence(args: Any) -> None:
    novacron()
    with pytest.raises(CommandError):
        run(*args)
    assert PolicyVersion.objects.count() == 1


def test_a_wrong_file_is_not_imported(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="1 problem"):
        run("import", written(tmp_path, ("rank: 1\n", "rank: x\n")))
    assert not PolicyVersion.objects.exists()
