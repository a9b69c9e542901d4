"""Log lines on stderr: JSON where a machine reads, plain words on a terminal. Never a secret.

Not `logging`: other libraries' loggers must stay mute (urllib3's debug lines carry the SAS), and nobody can turn this
one up to a level at which it says too much.
"""

import json
import re
import sys
from datetime import UTC, datetime
from typing import Any

_SECRETS = re.compile(r"(?i)\b(sig|AccountKey|SharedAccessSignature|access_token|client_assertion)=[^&\s;\"']+")
_BEARER = re.compile(r"(?i)\bbearer\s+[\w.~+/-]+=*")


def info(message: str, **fields: Any) -> None:
    """Say what happened."""
    _write("info", message, fields)


def warning(message: str, **fields: Any) -> None:
    """Say what a person should know but need not act on at once."""
    _write("warning", message, fields)


def error(message: str, **fields: Any) -> None:
    """Say what stopped something."""
    _write("error", message, fields)


def redact(text: str) -> str:
    """The text without signatures, keys and tokens."""
    return _BEARER.sub("Bearer ***", _SECRETS.sub(r"\1=***", text))


def _write(level: str, message: str, fields: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        extra = " ".join(f"{key}={value}" for key, value in fields.items())
        line = f"{message}  {extra}".rstrip() if level == "info" else f"{level}: {message}  {extra}".rstrip()
    else:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": at, "level": level, "message": message, **fields}, ensure_ascii=True, default=str)
    print(redact(line), file=sys.stderr, flush=True)
