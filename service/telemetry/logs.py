"""Formats of the log: one line of text per record for people, or one JSON object for machines."""

import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from service.settings import LogFormat, LogLevel

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request, which its log lines include; None outside of requests."""


class JsonLines(logging.Formatter):
    """Formats each log record as one JSON object, including its `extra={"fields": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats `record` as one line; a traceback becomes the field `exception`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if current_id := request_id.get():
            line["request_id"] = current_id
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextLines(logging.Formatter):
    """Formats each log record as text, which ends with the request id if there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Formats `record` and appends `[request id]`."""
        current_id = request_id.get()
        return super().format(record) + (f" [{current_id}]" if current_id else "")


_FORMATTERS: dict[LogFormat, type[logging.Formatter]] = {"text": TextLines, "json": JsonLines}


def log_config(log_format: LogFormat, level: LogLevel) -> dict[str, Any]:
    """Returns the configuration for `logging.config.dictConfig`; all log lines go to stderr."""
    formatter = _FORMATTERS[log_format]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{__name__}.{formatter.__name__}"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            # Overrides handlers that another server in this process may have set up.
            "uvicorn": {"handlers": [], "propagate": True},
            # httpx logs every request to the teacher at INFO.
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
        },
    }
