"""Readers of the environment that stop the start with one sentence where a value is wrong.

Every variable `X` may also be given as `X_FILE`, the path of a file that holds the value (for secrets).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
import structlog
from django.core.exceptions import ImproperlyConfigured

from apps.foundation.egress.allowance import parse as parse_allowance
from apps.foundation.redaction import redact_line

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}
_SHORTEST_SECRET = 32


def _raw(name: str) -> str | None:
    """The value of `name`, from itself or from the file that `name_FILE` names; None when neither is set."""
    value, path = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value is not None and path:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep one of them.")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE names {path!r}, which can't be read: {error.strerror}.") from error
    return value


def text(name: str, *, default: str, secret: bool = False) -> str:
    """The value as it is. `secret` only documents that it must not be shown."""
    value = _raw(name)
    return default if value is None else value


def flag(name: str, *, default: bool) -> bool:
    """A yes or a no."""
    value = _raw(name)
    if value is None:
        return default
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}: it must be 1 or 0.")


def number(name: str, *, default: int, least: int, most: int) -> int:
    """A whole number between `least` and `most`."""
    value = _raw(name)
    if value is None:
        return default
    try:
        found = int(value)
    except ValueError:
        found = least - 1
    if not least <= found <= most:
        raise ImproperlyConfigured(f"{name} is {value!r}: it must be a whole number from {least} to {most}.")
    return found


def choice(name: str, options: list[str], *, default: str) -> str:
    """One of `options`, in any case."""
    value = _raw(name)
    if value is None:
        return default
    for option in options:
        if option.lower() == value.lower():
            return option
    raise ImproperlyConfigured(f"{name} is {value!r}: it must be one of {', '.join(options)}.")


def listing(name: str, *, default: list[str]) -> list[str]:
    """Values separated by commas."""
    value = _raw(name)
    return default if value is None else [part.strip() for part in value.split(",") if part.strip()]


def origins(name: str) -> list[str]:
    """Origins of pages, such as https://shop.example.com, separated by commas, or `*` for any; by default none."""
    found = [each.rstrip("/") for each in listing(name, default=[])]
    for each in found:
        parts = urlsplit(each)
        whole = (
            parts.scheme in {"http", "https"} and parts.netloc and each == f"{parts.scheme}://{parts.netloc}".lower()
        )
        if each != "*" and not whole:
            raise ImproperlyConfigured(f"{name} has {each!r}: write origins such as https://shop.example.com, or *.")
    return found


def limits(name: str, *, default: dict[str, int], known: list[str]) -> dict[str, int]:
    """Whole numbers by names, such as sms=20,push=60; a name that is not `known` or a number below 1 is refused."""
    value = _raw(name)
    if value is None:
        return default
    found: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        key, _, most = entry.partition("=")
        if key.strip() not in known or not most.strip().isdecimal() or int(most) < 1:
            raise ImproperlyConfigured(
                f"{name} has the entry {entry!r}: write a channel ({', '.join(known)}), = and a number, such as sms=20."
            )
        found[key.strip()] = int(most)
    return found


def hosts(name: str, *, default: list[str]) -> list[str]:
    """Hosts separated by commas: names or addresses, with or without a port, and networks such as 10.0.0.0/8."""
    found = listing(name, default=default)
    for entry in found:
        try:
            parse_allowance(entry)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} has the entry {entry!r}: each must be a host, a host:port or a network such as 10.0.0.0/8."
            ) from error
    return found


def url(name: str, *, default: str) -> str:
    """An http or https address without a trailing slash, or nothing."""
    value = _raw(name)
    value = default if value is None else value
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ImproperlyConfigured(f"{name} is {value!r}: it must be an address such as https://portal.example.com.")
    return value.rstrip("/")


def own_address(host: str, port: int) -> str:
    """Where a browser on this machine finds a server that listens on `host` and `port`."""
    everywhere = {"0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to
    return f"http://{'127.0.0.1' if host in everywhere else host}:{port}"


def hosts_for(public_url: str) -> list[str]:
    """The host names under which the portal answers when nothing else is said."""
    return sorted({urlsplit(public_url).hostname or "localhost", "localhost", "127.0.0.1", "[::1]"})


def secret(name: str, *, data_dir: Path) -> str:
    """A secret of at least 32 characters, from the environment or made once and kept in the data directory."""
    value = _raw(name)
    if value is not None:
        if len(value) < _SHORTEST_SECRET:
            raise ImproperlyConfigured(f"{name} is too short: give at least {_SHORTEST_SECRET} random characters.")
        return value
    path = data_dir / f"{name.lower().replace('_', '-')}"
    try:
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            fresh = data_dir / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}"
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_urlsafe(50), encoding="utf-8")
            try:
                os.link(fresh, path)  # of two processes that start at once, the first one's secret stays
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"No {name} is set and none can be kept in {data_dir} ({error.strerror}): "
            f"set {name}, or set DATA_DIR to a folder that can be written."
        ) from error


def database(name: str, *, default: str, pool_size: int) -> dict[str, Any]:
    """A Django database from an address: sqlite:///path or postgres://user:password@host:port/name.

    A process holds at most `pool_size` connections to PostgreSQL; 0 means a new one for each piece of work.
    """
    value = _raw(name) or default
    scheme = value.split(":", 1)[0]
    if scheme not in {"sqlite", "postgres", "postgresql"}:
        raise ImproperlyConfigured(f"{name} must start with sqlite:/// or postgres://, not {scheme!r}.")
    found: dict[str, Any] = dict(environ.Env.db_url_config(value))
    options: dict[str, Any] = found.setdefault("OPTIONS", {})
    if scheme == "sqlite":
        path = Path(found["NAME"])
        if found["NAME"] != ":memory:":
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ImproperlyConfigured(f"{path.parent} can't be made ({error.strerror}): set DATA_DIR.") from error
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
        }
        found["TEST"] = {"NAME": str(path.with_name("test-portal.sqlite3"))}
    else:
        found["CONN_HEALTH_CHECKS"] = True
        if pool_size:
            # Under ASGI each request has a thread of its own: connections that outlive a request belong to a pool.
            options["pool"] = {"min_size": 0, "max_size": pool_size, "timeout": 3, "max_idle": 60}
        options.setdefault("connect_timeout", 5)
        options.setdefault("application_name", os.environ.get("PORTAL_PROCESS", "portal"))
    return found


def mail(name: str, *, default: str) -> dict[str, Any]:
    """Django's mail settings from an address: smtp://user:password@host:port, smtps://, smtp+tls://, or file:///folder."""
    value = _raw(name) or default
    parts = urlsplit(value)
    if parts.scheme == "file":
        return {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend", "EMAIL_FILE_PATH": parts.path}
    if parts.scheme not in {"smtp", "smtps", "smtp+tls"} or not parts.hostname:
        raise ImproperlyConfigured(f"{name} must be smtp://host:port, smtps://…, smtp+tls://… or file:///folder.")
    found = dict(environ.Env.email_url_config(value.replace("smtps://", "smtp+ssl://")))
    found["EMAIL_TIMEOUT"] = 10
    return found


def _without_secrets(_logger: Any, _method: str, line: Any) -> str:
    """The last processor: it gets the line as it would be written."""
    return redact_line(str(line))


def logging_config(level: str, form: str) -> dict[str, Any]:
    """Structured logs on standard error, one line each: as text for people or as JSON for programs.

    What is written passes `redact_line` whole: whichever library logs, with a trace or not, no secret gets out.
    """
    # Plain traces: the other ones show the values of variables, secrets among them, broken over several lines.
    text_form = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    last = structlog.processors.JSONRenderer() if form == "json" else text_form
    trace = [structlog.processors.format_exc_info] if form == "json" else []
    line = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso"),
        ],
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *trace, last, _without_secrets],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": line},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.request": {"level": "ERROR"},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},  # its lines of DEBUG hold the headers of answers
            "apps": {"level": level},
        },
    }


def folder(path: Path) -> None:
    """Make `path` and its parents; stop the start where that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path} can't be made ({error.strerror}): set DATA_DIR to a folder that can be written."
        ) from error
