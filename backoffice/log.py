"""One line for each log record, with the id of the request or task that caused it."""

import logging
import time
from contextvars import ContextVar

NO_REQUEST = "-"
request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)


class LineFormatter(logging.Formatter):
    r"""Write a record on one line; the line ends of a traceback are written as ``\n``."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}.{msecs:03.0f}Z {levelname} {name} [{request_id}] {message}",
            datefmt="%Y-%m-%dT%H:%M:%S",
            style="{",
        )

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """Write times as UTC, whatever the display zone is."""
        return time.gmtime(seconds)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text without line ends."""
        record.request_id = request_id.get()
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")
