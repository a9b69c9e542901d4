"""Log lines on standard error: one JSON object each, with the current run and without secrets."""

import contextvars
import logging
import re
import sys
from datetime import UTC, datetime

import msgspec

current_run: contextvars.ContextVar[str] = contextvars.ContextVar("current_run", default="")
"""The namespace and name of the run that the current task reconciles; every log line of the task has it."""

_SECRET_PATTERN = re.compile(
    r"(sig=|AccountKey=|SharedAccessSignature=|Bearer\s+|client_assertion=)[^\s&;\"']+", re.IGNORECASE
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
        return msgspec.json.encode({key: _SECRET_PATTERN.sub(r"\1***", value) for key, value in line.items()}).decode()


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
