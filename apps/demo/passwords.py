"""The one password of a fresh demo: made once, kept in one file that only its owner can read."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.conf import settings


def password_file() -> Path:
    """Where the first password is kept."""
    return Path(settings.DATA_DIR) / "admin-password"


def first_password() -> str:
    """The password in the file, made and written when there is none."""
    path = password_file()
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        password = secrets.token_urlsafe(12)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(password + "\n", encoding="utf-8")
        return password
