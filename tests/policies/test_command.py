"""`manage.py policy`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.policies.models import PolicyVersion
from apps.policies.queries import active_version
from tests.factories import novacron, novacron_text, team

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
        call_command("policy", "validate", written(tmp_path, ("SRE, after: 5m", "SRE, after: x")), stdout=out)
    assert "pack.yaml:" in out.getvalue()
    assert "escalation.path[1].after: 'x' is not a duration" in out.getvalue()


def test_validate_says_which_roles_mean_nobody_to_those_who_follow_the_pack(tmp_path: Path) -> None:
    novacron()
    team("Core")
    out, errors = StringIO(), StringIO()
    path = written(tmp_path, ("roles: [primary], severities", "roles: [wizard], severities"))
    call_command("policy", "validate", path, stdout=out, stderr=errors)
    assert "is a valid pack" in out.getvalue()
    assert "The role wizard of level 1 (On-call SRE) means nobody in Core: bind it" in errors.getvalue()
    (answer,) = json.loads(run("validate", path, "--json"))
    assert any("wizard" in caution["message"] for caution in answer["cautions"])


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


def test_files_and_the_standard_input_are_checked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(novacron_text(("SRE, after: 5m", "SRE, after: x"))))
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("policy", "validate", written(tmp_path), "-", "--json", stdout=out)
    first, second = json.loads(out.getvalue())
    assert (first["valid"], second["valid"], second["problems"][0]["path"]) == (True, False, "escalation.path[1].after")
    assert (caught.value.returncode, str(caught.value)) == (1, "1 problem.")


def test_what_is_wrong_is_told_as_compilers_tell_it(tmp_path: Path) -> None:
    for way in (["import"], ["diff", "novacron-v2"]):
        novacron()
        with pytest.raises(CommandError, match=r"pack\.yaml:\d+:\d+: severities\[1\]\.rank: .*\n1 problem") as caught:
            run(*way, written(tmp_path, ("rank: 1\n", "rank: x\n")))
        assert caught.value.returncode == 1


def test_packs_are_listed(tmp_path: Path) -> None:
    novacron()
    run("import", written(tmp_path, ("target: 5m", "target: 4m")), "--note", "faster")
    assert run("list").splitlines() == ["novacron-v2@1 (active)  test", "novacron-v2@2  faster"]
    listed = json.loads(run("list", "--json"))
    assert [(row["number"], row["active"]) for row in listed] == [(1, True), (2, False)]


def test_a_diff_can_end_with_a_status_and_read_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    novacron()
    for text, status in ((novacron_text(), None), (novacron_text(("target: 5m", "target: 4m")), 1)):
        monkeypatch.setattr("sys.stdin", StringIO(text))
        out = StringIO()
        try:
            call_command("policy", "diff", "novacron-v2", "-", "--json", "--exit-code", stdout=out)
            ended = None
        except CommandError as error:
            ended = error.returncode
        assert ended == status
        assert bool(json.loads(out.getvalue())["differences"]) is (status == 1)


def test_an_export_is_written_to_a_file(tmp_path: Path) -> None:
    novacron()
    run("export", "novacron-v2@1", "--output", str(tmp_path / "out.yaml"))
    assert (tmp_path / "out.yaml").read_text(encoding="utf-8") == novacron_text()
    with pytest.raises(CommandError) as caught:
        run("export", "novacron-v2", "--output", str(tmp_path / "no" / "where"))
    assert caught.value.returncode == 2


def test_an_activation_tells_what_its_followers_lack(tmp_path: Path) -> None:
    team("Core")
    err = StringIO()
    call_command(
        "policy", "import", written(tmp_path), "--activate", "--reason", "first", stdout=StringIO(), stderr=err
    )
    assert "Caution: The role primary of level 1 (On-call SRE) means nobody in Core" in err.getvalue()
    answer = json.loads(run("activate", "novacron-v2@1", "--reason", "again", "--json"))
    assert (answer["active"], len(answer["cautions"])) == (True, 10)


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
    with pytest.raises(CommandError) as caught:
        run(*args)
    assert caught.value.returncode == 2
    assert PolicyVersion.objects.count() == 1


def test_a_wrong_file_is_not_imported(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="1 problem"):
        run("import", written(tmp_path, ("rank: 1\n", "rank: x\n")))
    assert not PolicyVersion.objects.exists()
