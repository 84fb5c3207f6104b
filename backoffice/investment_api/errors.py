"""What can go wrong with a call, sorted by what the caller should do, in words fit for staff."""

import html
import re
from datetime import timedelta
from typing import Any

from backoffice.foreign_json import TooDeepError, parse

_FIRST_WORDS = 200
_NOT_TEXT = re.compile(r"(?is)<!--.*?-->|<(script|style|title)\b.*?</\1\s*>|<[^<>]*>")


class InvestmentAPIError(Exception):
    """A call that told us nothing. The text names the call, what upstream said and its request id.

    ``was_sent`` is False only where upstream cannot have got the call: no room in the budget, no
    token, no signature. ``body`` is that of the answer, as it came. ``is_foreign``: an answer came,
    and it is not upstream's word but that of a gateway or a proxy on the way.
    """

    def __init__(self, message: str, *, status: int | None = None, request_id: str = "") -> None:
        super().__init__(message)
        self.was_sent = True
        self.is_foreign = False
        self.body = b""
        self.message = message
        self.status = status
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.message} (request id {self.request_id})" if self.request_id else self.message

    @property
    def is_answer(self) -> bool:
        """Return whether upstream itself answered, and is well: a refusal is such an answer."""
        return self.status is not None and self.status < 500 and not self.is_foreign


class UnavailableError(InvestmentAPIError):
    """Timeout, connection error, 429 or 5xx, an answer that is not upstream's, no room in the budget: try later.

    ``retry_after`` is how much later, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str = "",
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.retry_after = retry_after


class NotFoundError(InvestmentAPIError):
    """404 by upstream itself: the resource does not exist there; trying again will not help."""


class RefusedError(InvestmentAPIError):
    """Any other 4xx by upstream itself: our request is wrong, or our credentials are."""


def read_json(body: bytes) -> Any:
    """Parse JSON of strangers; fractions stay text, so that no digit is lost. Raises ValueError.

    A raw control character is taken as it is and a byte that is no UTF-8 as a mark in its place: of
    an event with such a text the answer is asked for, and after the answer there is nobody to ask.
    """
    try:
        return parse(body)
    except TooDeepError:
        raise
    except ValueError:
        return parse(body.decode("utf-8", "replace"), strict=False)


def first_words(body: bytes) -> str:
    """Return the beginning of what a person would read on the page of a gateway."""
    text = body[:8_000].decode("utf-8", "replace")
    words = html.unescape(_NOT_TEXT.sub(" ", text)).split()
    return printable(" ".join(words))[:_FIRST_WORDS]


def printable(text: str) -> str:
    """Return a text of strangers without what does not belong on a page or in a log line."""
    return "".join(c if c.isprintable() else " " for c in text)
