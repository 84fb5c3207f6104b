"""One safe line for each log record, with the id of the request or task that caused it.

Paths, headers and the words of upstream are in our logs, and so is whatever somebody put there: a
line end would forge a line, an escape sequence would rewrite a terminal.
"""

import logging
import time
from contextvars import ContextVar
from typing import Any

NO_REQUEST = "-"
LONGEST_MESSAGE = 4_000  # characters; a path alone may have thousands
LONGEST_TRACEBACK = 16_000
request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)


class SafeRecord(logging.LogRecord):
    """A record that is safe in the hands of any handler, also of gunicorn's and Celery's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info:  # handlers take the text that is there already
            traceback = logging.Formatter().formatException(self.exc_info)
            self.exc_text = one_line(traceback, LONGEST_TRACEBACK)

    def getMessage(self) -> str:  # noqa: N802 -- logging's name
        """Return the message, on one line and not too long."""
        return one_line(super().getMessage(), LONGEST_MESSAGE)


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
        """Return the record as one line."""
        record.request_id = request_id.get()
        return one_line(super().format(record), LONGEST_MESSAGE + LONGEST_TRACEBACK)


def install() -> None:
    """Make every record of this process a safe one, whoever logs it."""
    logging.setLogRecordFactory(SafeRecord)


def one_line(text: str, longest: int) -> str:
    r"""Return ``text`` with what cannot be seen escaped (``\x00``, ``\n``, ``\u202e``), cut in its middle."""
    if len(text) > longest:
        left_out = len(text) - longest
        half = longest // 2
        text = f"{text[:half]} ...({left_out} characters left out)... {text[-half:]}"
    if text.isprintable():
        return text
    return "".join(it if it.isprintable() else _escaped(it) for it in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
