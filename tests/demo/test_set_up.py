"""The set-up script: each way in which it can't go on is one sentence. And the servers that the tests start."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from tests.conftest import program

ROOT = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bootstrap(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/bootstrap.py", *arguments],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def sentence_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_taken_port_is_one_sentence_before_anything_is_set_up(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = sentence_of(bootstrap("run", PORT=str(port), DATA_DIR=str(tmp_path)))
    assert f"Port {port} on 127.0.0.1 is taken" in said


@pytest.mark.parametrize("port", ["web", "0", "70000", ""])
def test_a_port_that_is_none_is_one_sentence(tmp_path: Path, port: str) -> None:
    assert "must be a number" in sentence_of(bootstrap("run", PORT=port, DATA_DIR=str(tmp_path)))


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    said = sentence_of(bootstrap("run", DATA_DIR=str(tmp_path / "file" / "data")))
    assert "can't be written" in said
    assert "set DATA_DIR" in said


def test_an_old_python_is_one_sentence_that_names_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load("bootstrap")
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "run"])
    monkeypatch.setattr(script.sys, "version_info", (3, 8, 18))
    with pytest.raises(script.Stop, match=r"needs Python 3\.11 or newer and this is 3\.8"):
        script.check_python()


def test_the_set_up_script_can_be_read_by_an_old_python() -> None:
    import ast

    ast.parse((ROOT / "scripts" / "bootstrap.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_another_lock_is_another_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = load("bootstrap")
    monkeypatch.setattr(script, "ROOT", str(tmp_path))
    (tmp_path / "requirements").mkdir()
    for name in ("uv.txt", "run.txt"):
        (tmp_path / "requirements" / name).write_text("a==1", encoding="utf-8")
    before = script.stamp_of("run.txt")
    (tmp_path / "requirements" / "run.txt").write_text("a==2", encoding="utf-8")
    assert script.stamp_of("run.txt") != before


@pytest.mark.skipif(
    not (program("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), reason="no initdb"
)
def test_a_private_postgresql_answers_and_is_gone_afterwards() -> None:
    services = load("services")
    with services.private_postgres() as url:
        assert services.postgres_answers(f"{url}/postgres")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"{url}/postgres", connect_timeout=2)


@pytest.mark.skipif(not program("redis-server"), reason="no redis-server")
def test_a_private_redis_answers_and_is_gone_afterwards() -> None:
    services = load("services")
    with services.private_redis() as url:
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        assert services.redis_answers(port)
    assert not services.redis_answers(port)
