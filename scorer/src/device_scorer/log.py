"""Log lines on stderr: JSON lines for programs, plain text on a terminal. They never contain a secret.

The module does not use `logging`. The loggers of other libraries must stay silent, because the debug lines of urllib3
contain the SAS; and no setting may raise the level of this log.
"""

import json
import re
import sys
from datetime import UTC, datetime
from typing import Any

MAX_TEXT_CHARS = 16_384

# The operator has the same pattern (observability/logs.py).
_QUOTE = r"\\{0,7}[\"']"  # a quote of JSON, of Python, or of JSON within a JSON text
_KEYS = (
    "sig|AccountKey|SharedAccessKey|SharedAccessSignature|EncryptionKey"
    "|client_assertion|client_secret|access_token|refresh_token|id_token|password"
)
_SECRET_PATTERN = rf"""
      (?P<key>(?:\b|(?<=3F)|(?<=26))(?:{_KEYS})(?:=|%(?:25)*3D))[^\s&;"'<>\\]+  # a URL, also encoded
    | (?P<quoted>{_QUOTE}(?:{_KEYS}|token){_QUOTE}\s*:\s*(?P<quote>{_QUOTE}))(?:(?!(?P=quote)).)*  # JSON
    | (?P<scheme>\bBearer(?:\s+|%20|:\s*))[^\s&;"'<>\\]+        # a header
    | (?P<shared>\bSharedKey(?:Lite)?\s+[^\s:"']*:)[^\s&;"'<>\\]+
    | (?P<header>\bAuthorization{_QUOTE}?\s*[:=]\s*{_QUOTE}?)(?!Bearer|SharedKey)[^\s"'\\]+(?:\s+[^\s"'\\]+)?
    | \beyJ[\w-]{{8,}}\.[\w-]+(?:\.[\w-]*)?                      # a JSON Web Token
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    """
_MARKERS = ("sig", "key", "password", "bearer", "token", "assertion", "secret", "authorization", "eyj")
"""Every secret that the pattern finds has one of these texts. Most lines have none, and need no pattern."""


def info(message: str, **fields: Any) -> None:
    """Log an event.

    Args:
        message: The sentence to log.
        fields: More fields of the line.
    """
    _write("info", message, fields)


def warning(message: str, **fields: Any) -> None:
    """Log a problem that needs no immediate action.

    Args:
        message: The sentence to log.
        fields: More fields of the line.
    """
    _write("warning", message, fields)


def error(message: str, **fields: Any) -> None:
    """Log a failure.

    Args:
        message: The sentence to log.
        fields: More fields of the line.
    """
    _write("error", message, fields)


def redact(text: str) -> str:
    """Return a text with `***` in the place of each secret, and at most MAX_TEXT_CHARS of it.

    Args:
        text: The text, such as a message or a traceback.
    """
    kept = text[: 2 * MAX_TEXT_CHARS]  # a secret is not cut before it is found
    lower = kept.lower()
    if any(marker in lower for marker in _MARKERS):
        kept = re.sub(_SECRET_PATTERN, _mask, kept, flags=re.IGNORECASE | re.VERBOSE | re.DOTALL)
    return kept if len(text) <= MAX_TEXT_CHARS else f"{kept[:MAX_TEXT_CHARS]}... ({len(text):,} characters)"


def _mask(found: re.Match[str]) -> str:
    groups = ("key", "quoted", "scheme", "shared", "header")
    return next(filter(None, map(found.group, groups)), "") + "***"


def _write(level: str, message: str, fields: dict[str, Any]) -> None:
    fields = {key: redact(value) if isinstance(value, str) else value for key, value in fields.items()}
    message = redact(message)
    if sys.stderr.isatty():
        extra = " ".join(f"{key}={value}" for key, value in fields.items())
        line = f"{message}  {extra}".rstrip() if level == "info" else f"{level}: {message}  {extra}".rstrip()
        line = "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in line)
    else:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": at, "level": level, "message": message, **fields}, ensure_ascii=True, default=str)
    print(line, file=sys.stderr, flush=True)
