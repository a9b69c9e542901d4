"""Log lines on stderr: JSON lines for programs, plain text on a terminal. They never contain a secret.

The module does not use `logging`. The loggers of other libraries must stay silent, because the debug lines of urllib3
contain the SAS; and no setting may raise the level of this log.
"""

import json
import re
import sys
from datetime import UTC, datetime
from typing import Any

_SECRETS = re.compile(r"(?i)\b(sig|AccountKey|SharedAccessSignature|access_token|client_assertion)=[^&\s;\"']+")
_BEARER = re.compile(r"(?i)\bbearer\s+[\w.~+/-]+=*")


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
    """Return the text with every signature, key and token replaced by ***."""
    return _BEARER.sub("Bearer ***", _SECRETS.sub(r"\1=***", text))


def _write(level: str, message: str, fields: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        extra = " ".join(f"{key}={value}" for key, value in fields.items())
        line = f"{message}  {extra}".rstrip() if level == "info" else f"{level}: {message}  {extra}".rstrip()
    else:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": at, "level": level, "message": message, **fields}, ensure_ascii=True, default=str)
    print(redact(line), file=sys.stderr, flush=True)
