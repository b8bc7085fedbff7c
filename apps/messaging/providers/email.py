"""Email: one SMTP connection for a batch; refusals for good, for now, and broken connections told apart."""

from __future__ import annotations

import smtplib
import ssl
from email.errors import MessageError
from typing import Any

from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend
from django.core.mail.message import sanitize_address

from apps.foundation.egress.deadlines import Deadline
from apps.messaging.models import Attempt
from apps.messaging.providers.base import Outgoing, Result, shortened
from apps.messaging.providers.letters import letter

# These mean that the portal may not use the server at all: its settings are wrong, not this message.
LOGIN_CODES = frozenset({530, 534, 535, 538})
CLOSING = 421
FOR_GOOD = 500
OK = 250
RECIPIENT_OK = frozenset({250, 251})
QUIT_SECONDS = 1.0


class EmailTransport:
    """A few connections side by side, so that one slow recipient does not hold up the others."""

    most_sessions = 8
    first_sessions = 8

    def open(self) -> EmailSession:
        return EmailSession()


class EmailSession:
    """One connection, opened with the first message and again after it broke."""

    def __init__(self) -> None:
        self._backend: SmtpBackend | None = None

    def send(self, message: Outgoing, deadline: Deadline) -> Result:
        try:
            mail = letter(message)
            written: Any = mail.message()
            raw = written.as_bytes(linesep="\r\n")
        except (MessageError, ValueError) as error:
            return Result(Attempt.Outcome.REFUSED, f"It can't be written as an email: {shortened(error)}")
        if self._backend is None:
            backend: Any = get_connection(timeout=deadline.remaining())
            if not isinstance(backend, SmtpBackend):
                return _hand_to(backend, mail)
            if (broken := self._connect(backend)) is not None:
                return broken
        return self._converse(mail, message.address, raw, deadline)

    def _connect(self, backend: SmtpBackend) -> Result | None:
        """Connect, encrypt and log in; the result when that fails, for it is certain that nothing was sent."""
        try:
            backend.open()
        except (smtplib.SMTPException, OSError) as error:
            backend.close()
            return Result(
                Attempt.Outcome.RETRY, f"The mail server can't be used: {shortened(error)}", provider_broken=True
            )
        self._backend = backend
        return None

    def _converse(self, mail: EmailMultiAlternatives, address: str, raw: bytes, deadline: Deadline) -> Result:
        smtp = self._smtp()
        handed_over = False
        try:
            refusal = self._announce(smtp, mail, address, raw, deadline)
            if refusal is not None:
                return self._refused(*refusal)
            # From here on a silence may mean that it was taken.
            handed_over = True
            code, said = smtp.data(raw)
        except smtplib.SMTPDataError as error:
            code, said = error.smtp_code, _bytes(error.smtp_error)
        except ValueError as error:
            self._reset(smtp)
            return Result(Attempt.Outcome.REFUSED, f"The mail server does not take this address: {shortened(error)}")
        except (smtplib.SMTPException, OSError) as error:
            self._drop()
            outcome = Attempt.Outcome.UNKNOWN if handed_over else Attempt.Outcome.RETRY
            # A time-out may be this recipient's only; what broke is the server's.
            broken = not isinstance(error, TimeoutError)
            return Result(outcome, f"The connection broke: {shortened(error)}", provider_broken=broken)
        if code != OK:
            return self._refused(code, said)
        answer = shortened(said.decode("utf-8", "replace"))
        return Result(Attempt.Outcome.ACCEPTED, answer, provider_id=answer[:200])

    def _announce(
        self, smtp: smtplib.SMTP, mail: EmailMultiAlternatives, address: str, raw: bytes, deadline: Deadline
    ) -> tuple[int, bytes] | None:
        """Say from whom and to whom; the refusal, if the server does not want it."""
        encoding = mail.encoding or "utf-8"
        _hurry(smtp, deadline)
        code, said = smtp.mail(sanitize_address(mail.from_email, encoding), _options(smtp, raw))
        if code != OK:
            return code, said
        _hurry(smtp, deadline)
        code, said = smtp.rcpt(sanitize_address(address, encoding))
        if code not in RECIPIENT_OK:
            return code, said
        _hurry(smtp, deadline)
        return None

    def _smtp(self) -> smtplib.SMTP:
        assert self._backend is not None
        assert self._backend.connection is not None
        return self._backend.connection

    def _refused(self, code: int, said: bytes) -> Result:
        """The server said no: 5xx for good, 4xx for now, 421 and log-in troubles to everything."""
        detail = f"{code} {shortened(said.decode('utf-8', 'replace'))}"
        if code == CLOSING or code in LOGIN_CODES:
            self._drop()
            return Result(Attempt.Outcome.RETRY, detail, provider_broken=True)
        self._reset(self._smtp())
        return Result(Attempt.Outcome.REFUSED if code >= FOR_GOOD else Attempt.Outcome.RETRY, detail)

    def _reset(self, smtp: smtplib.SMTP) -> None:
        try:
            smtp.rset()
        except (smtplib.SMTPException, OSError):
            self._drop()

    def _drop(self) -> None:
        """Leave the connection without a word: nobody listens at its other end."""
        backend, self._backend = self._backend, None
        if backend is not None and backend.connection is not None:
            backend.connection.close()

    def close(self) -> None:
        backend, self._backend = self._backend, None
        if backend is None or backend.connection is None:
            return
        try:
            if backend.connection.sock is not None:
                backend.connection.sock.settimeout(QUIT_SECONDS)
            backend.connection.quit()
        except (smtplib.SMTPException, ssl.SSLError, OSError):
            backend.connection.close()


def _hurry(smtp: smtplib.SMTP, deadline: Deadline) -> None:
    """Let the next command wait no longer than the attempt may last."""
    if smtp.sock is not None:
        smtp.sock.settimeout(deadline.remaining())


def _bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode()


def _options(smtp: smtplib.SMTP, raw: bytes) -> list[str]:
    smtp.ehlo_or_helo_if_needed()
    found = [f"size={len(raw)}"] if smtp.does_esmtp and smtp.has_extn("size") else []
    return [*found, "BODY=8BITMIME"] if smtp.has_extn("8bitmime") else found


def _hand_to(backend: Any, mail: EmailMultiAlternatives) -> Result:
    """Backends that are no network: files, the console, memory."""
    try:
        backend.send_messages([mail])
    except OSError as error:
        return Result(Attempt.Outcome.RETRY, shortened(error), provider_broken=True)
    return Result(Attempt.Outcome.ACCEPTED, "handed to the local mail store")
