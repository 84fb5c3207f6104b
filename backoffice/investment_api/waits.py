"""How long upstream asks us to wait: the header ``Retry-After``. Pure."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_WAIT = timedelta(minutes=5)  # then we ask again, whatever was said: it may be a slip
_NUMBER = re.compile(r"([0-9]+)(?:\.[0-9]*)?")


def retry_after(value: str, *, now: datetime) -> timedelta | None:
    """Read a ``Retry-After`` header, seconds or an HTTP date; at most LONGEST_WAIT, None if unreadable.

    A fraction of a second is rounded up; what has passed already is no wait. The contract does not
    document the header, so nothing in it is trusted.
    """
    text = value.strip()
    if number := _NUMBER.fullmatch(text):
        whole = number[1].lstrip("0")
        if len(whole) > len("86400"):
            return LONGEST_WAIT
        return min(
            timedelta(seconds=int(whole or 0) + bool(text.partition(".")[2].strip("0"))),
            LONGEST_WAIT,
        )
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max(moment - now, timedelta()), LONGEST_WAIT)
    except (ValueError, OverflowError, TypeError):
        return None
