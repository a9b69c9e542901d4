"""Log lines: one JSON object each on stderr, with the run they are about and without secrets."""

import contextvars
import logging
import re
import sys
from datetime import UTC, datetime

import msgspec

current_run: contextvars.ContextVar[str] = contextvars.ContextVar("current_run", default="")
"""namespace/name of the run that the current task works for; every line logged meanwhile carries it."""

_SECRET_PATTERN = re.compile(
    r"(sig=|AccountKey=|SharedAccessSignature=|Bearer\s+|client_assertion=)[^\s&;\"']+", re.IGNORECASE
)
_NOISY_LOGGERS = ("azure", "urllib3", "msal", "aiohttp", "asyncio", "kopf")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line: time, level, logger, message, and run and error where there are any."""
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
    reference = getattr(record, "k8s_ref", None)  # how kopf marks the object that a line is about
    return f"{reference.get('namespace')}/{reference.get('name')}" if isinstance(reference, dict) else ""


def configure(level: str) -> None:
    """Send all logging to stderr as JSON lines.

    Libraries stay at WARNING whatever the level: at DEBUG some print URLs with signatures in them, and kopf has a line
    for each event at INFO.

    Args:
        level: Name of a level of the standard library's logging, such as "INFO".
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
