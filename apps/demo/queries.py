"""Reads of the demo: the mails that the file mailbox holds, where no mail server is set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

from django.conf import settings

MAX_MAILS = 200
_BETWEEN_MAILS = re.compile(rb"^-{79}\n", re.MULTILINE)
_LINK = re.compile(r"(https?://[^\s<>\"]+)")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail of the mailbox; `key` names its file and its place in it."""

    key: str
    to: str
    subject: str
    sent_at: datetime
    text: str

    @property
    def pieces(self) -> list[tuple[str, bool]]:
        """The text in pieces, each with whether it is a web address."""
        return [(piece, bool(_LINK.fullmatch(piece))) for piece in _LINK.split(self.text) if piece]


def mail_folder() -> Path | None:
    """Where mails are written as files; None when they go to a real mail server."""
    folder = getattr(settings, "EMAIL_FILE_PATH", None)
    return Path(folder) if folder and settings.EMAIL_BACKEND.endswith("filebased.EmailBackend") else None


def newest_mails(limit: int = MAX_MAILS) -> list[Mail]:
    """The newest mails of the mailbox, newest first; at most `limit`."""
    folder = mail_folder()
    if folder is None or not folder.is_dir():
        return []
    files = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    found: list[Mail] = []
    for path in files[:limit]:
        found += _mails_in(path)
    return sorted(found, key=lambda mail: mail.sent_at, reverse=True)[:limit]


def mail_by_key(key: str) -> Mail | None:
    """The mail with this key, or None."""
    return next((mail for mail in newest_mails() if mail.key == key), None)


def _mails_in(path: Path) -> list[Mail]:
    try:
        parts = _BETWEEN_MAILS.split(path.read_bytes())
    except FileNotFoundError:
        return []
    return [_mail(f"{path.stem}-{place}", part, path) for place, part in enumerate(parts) if part.strip()]


def _mail(key: str, raw: bytes, path: Path) -> Mail:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(preferencelist=("plain", "html"))
    try:
        sent_at = parsedate_to_datetime(str(message["Date"])).astimezone(UTC)
    except (TypeError, ValueError):
        sent_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Mail(
        key=key,
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or "(no subject)"),
        sent_at=sent_at,
        text=str(body.get_content()) if body else "",
    )
