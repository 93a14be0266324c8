"""The log: formats records as text or JSON, and writes them to stderr."""

import io
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from service.settings import LogFormat, LogLevel

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request in progress, for its log lines; None outside of requests."""


class JsonLines(logging.Formatter):
    """Formats each log record as one JSON object.

    The entries of `fields` become fields of the object: `logger.info(…, extra={"fields": …})`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Returns `record` as one line of JSON; a traceback becomes the field `exception`."""
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
    """Formats each log record as text; the request id, if there is one, comes last."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Returns `record` as text, with the request id appended in square brackets."""
        current_id = request_id.get()
        return super().format(record) + (f" [{current_id}]" if current_id else "")


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes log lines to stderr; drops lines that cannot be written, and later logs their number.

    So no request fails or waits if stderr is a file on a full disk.

    Attributes:
        num_lost: number of lines dropped since a line was last written.
    """

    def __init__(self) -> None:
        super().__init__(_unbuffered(sys.stderr))
        self.num_lost = 0
        self._reason: OSError | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line for `record`; if lines were dropped, writes their number before it."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)  # the message does not fit its values
            return
        try:
            if self.num_lost:
                self._write(self.format(self._notice()))
                self.num_lost = 0
            self._write(line)
        except OSError as error:
            self.num_lost += 1
            self._reason = error

    def _write(self, line: str) -> None:
        self.stream.write(line + self.terminator)
        self.flush()

    def _notice(self) -> logging.LogRecord:
        values = (self.num_lost, self._reason)
        text = "%d log lines could not be written: %s"
        return logging.LogRecord(__name__, logging.WARNING, "", 0, text, values, None)


def _unbuffered(stream: TextIO) -> TextIO:
    """Returns an unbuffered text stream to the same file as `stream`.

    A buffer would keep text that could not be written. If `stream` has no file, returns `stream`.
    """
    try:
        file = io.FileIO(stream.fileno(), "w", closefd=False)
    except (OSError, AttributeError):  # no file: a test reads the stream
        return stream
    return io.TextIOWrapper(file, "utf-8", "backslashreplace", write_through=True)


def logs_fail() -> bool:
    """Returns whether writing the newest line of the log has failed, as on a full disk."""
    return any(getattr(each, "num_lost", 0) for each in logging.getLogger().handlers)


_FORMATTERS: dict[LogFormat, type[logging.Formatter]] = {"text": TextLines, "json": JsonLines}


def log_config(log_format: LogFormat, level: LogLevel) -> dict[str, Any]:
    """Returns the logging configuration for `logging.config.dictConfig`; all lines go to stderr."""
    formatter = _FORMATTERS[log_format]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{__name__}.{formatter.__name__}"}},
        "handlers": {"stderr": {"()": f"{__name__}.LineHandler", "formatter": "lines"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            # Overrides handlers that another server in this process may have set up.
            "uvicorn": {"handlers": [], "propagate": True},
            # httpx logs every request to the teacher at INFO.
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
        },
    }
