"""What a step raised, told without secrets: in a sentence for people, and as a trace in the log of the process."""

from __future__ import annotations

import logging
import traceback

from apps.foundation.redaction import redact_text
from apps.runbooks.records import storable
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.preparing import NotReady

logger = logging.getLogger(__name__)


def said(error: Exception | str, vault: Vault) -> str:
    """What went wrong, in words that hold no secrets."""
    if isinstance(error, str):
        text = error
    elif isinstance(error, NotReady):
        text = " ".join(error.problems)
    else:
        text = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
    return str(storable(vault.mask_text(redact_text(str(text)))))[:2000]


def log_raised(what: str, error: Exception, vault: Vault) -> None:
    """The traceback goes to the log of the process, without secrets."""
    trace = "".join(traceback.format_exception(error))
    logger.warning("%s raised.\n%s", what, vault.mask_text(redact_text(trace)))
