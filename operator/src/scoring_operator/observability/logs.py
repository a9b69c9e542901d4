"""Log lines on standard error: one JSON object each, with the current run and without secrets."""

import contextvars
import logging
import re
import sys
from datetime import UTC, datetime

import msgspec

current_run: contextvars.ContextVar[str] = contextvars.ContextVar("current_run", default="")
"""The namespace and name of the run that the current task reconciles; every log line of the task has it."""

MAX_TEXT_LENGTH = 16_384  # characters of a message or a traceback

_QUOTE = r"\\{0,7}[\"']"  # a quote of JSON, of Python, or of JSON within a JSON text
_KEYS = (
    "sig|AccountKey|SharedAccessKey|SharedAccessSignature|EncryptionKey"
    "|client_assertion|client_secret|access_token|refresh_token|id_token|password"
)
_SECRET_PATTERN = re.compile(
    rf"""
      (?P<key>(?:\b|(?<=3F)|(?<=26))(?:{_KEYS})(?:=|%(?:25)*3D))[^\s&;"'<>\\]+  # a URL, also encoded
    | (?P<quoted>{_QUOTE}(?:{_KEYS}|token){_QUOTE}\s*:\s*(?P<quote>{_QUOTE}))(?:(?!(?P=quote)).)*  # JSON
    | (?P<scheme>\bBearer(?:\s+|%20|:\s*))[^\s&;"'<>\\]+        # a header
    | (?P<shared>\bSharedKey(?:Lite)?\s+[^\s:"']*:)[^\s&;"'<>\\]+
    | (?P<header>\bAuthorization{_QUOTE}?\s*[:=]\s*{_QUOTE}?)(?!Bearer|SharedKey)[^\s"'\\]+(?:\s+[^\s"'\\]+)?
    | \beyJ[\w-]{{8,}}\.[\w-]+(?:\.[\w-]*)?                      # a JSON Web Token
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_NOISY_LOGGERS = ("azure", "urllib3", "msal", "aiohttp", "asyncio", "kopf")


class JsonFormatter(logging.Formatter):
    """A formatter that writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line: time, level, logger and message, and run and error if they exist."""
        line: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        run = getattr(record, "run", "") or current_run.get() or _kopf_object(record)
        if run:
            line["run"] = run
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode({key: redact(value) for key, value in line.items()}).decode()


def redact(text: str) -> str:
    """Return a text with `***` in the place of each secret, and at most 16,384 characters of it.

    Args:
        text: The text, such as a message or a traceback.
    """
    kept = text[: 2 * MAX_TEXT_LENGTH]  # a secret is not cut before it is found
    kept = _SECRET_PATTERN.sub(_mask, kept)[:MAX_TEXT_LENGTH]
    return kept if len(text) <= MAX_TEXT_LENGTH else f"{kept}... ({len(text):,} characters)"


def _mask(found: re.Match[str]) -> str:
    groups = ("key", "quoted", "scheme", "shared", "header")
    return next(filter(None, map(found.group, groups)), "") + "***"


def _kopf_object(record: logging.LogRecord) -> str:
    reference = getattr(record, "k8s_ref", None)  # kopf's attribute with the object of a record
    return f"{reference.get('namespace')}/{reference.get('name')}" if isinstance(reference, dict) else ""


def configure(level: str) -> None:
    """Write all log records to standard error as JSON lines.

    Libraries never log below WARNING: at DEBUG some log URLs with signatures, and at INFO kopf logs every event.

    Args:
        level: The name of a log level, such as "INFO".
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
