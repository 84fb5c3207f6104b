"""Single values of upstream's objects, and which attributes of each kind we keep. Pure.

Each value is read by itself: what cannot be kept exactly is refused with a reason, never guessed or
cut, and costs nothing but itself. Nothing is checked against closed sets: an unknown enum value or
field is kept and shown. Source: investment-api.md, sections 2.2, 3.2, 3.3; the model, section 2.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from backoffice.moments import EARLIEST, LATEST, sane
from orders.amounts import is_equal
from orders.lifecycle import Kind

WORD, REFERENCE, FREE_TEXT = 255, 500, 100_000  # characters, far more than upstream has ever sent
MOST_DIGITS = 90  # of an amount: 63 before the point and 27 behind it, by the contract
AMOUNT = re.compile(r"-?(?:(\d+)\.?(\d*)|\.(\d+))(?:[eE]([+-]?\d{1,9}))?", re.ASCII)
YEAR_1970 = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH = re.compile(r"-?(\d{1,13}|\d{16,19})(\.\d*)?", re.ASCII)
EPOCH_UNITS = (
    (10**11, 1),
    (10**14, 10**3),
    (10**17, 10**6),
)  # below: seconds, milli-, microseconds
MOMENT = re.compile(
    r"([+-]?(?:\d{4}|\d{5,6}(?=-)))-?(\d\d)-?(\d\d)"
    r"(?:[T _]*(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?)?"
    r" *(?:Z|UTC|GMT|([+-])(\d\d):?(\d\d)?(?: UTC)?)?",
    re.ASCII | re.IGNORECASE,
)
# As the contract writes them; Python reads these itself, ten times as fast as any expression.
USUAL_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(?:\d{3}|\d{6}))?Z", re.ASCII
).fullmatch

Column = Callable[[Mapping[str, Any], str], object]


class UnreadableError(ValueError):
    """The payload cannot be read; the message says which part of it and why."""


def clean(value: object, length: int) -> str:
    """Return text that any database takes: no U+0000, no lone surrogates, at most ``length`` characters.

    For prose and for what only identifies: a longer text ends in "…". Upstream's attributes are
    never cut: see ``text``.
    """
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        raise UnreadableError(f"{shown(value)} instead of a text")
    text = storable(str(value))
    return text if len(text) <= length else f"{text[: length - 1]}…"[:length]


def storable(text: str) -> str:
    """Return text without what databases refuse: U+0000 and lone surrogates."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def shown(value: object) -> str:
    """Return a value that cannot be read, as a reason shows it."""
    if isinstance(value, (dict, list)):  # which may be as long and deep as the payload
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return json.dumps(value)  # as the broker wrote it
    return repr(str(value)[:60])


def uuid(upstream: Mapping[str, Any], name: str, *, required: bool = False) -> Any:
    """Return an id of upstream's, or None where it has none."""
    value = upstream.get(name)
    if value in (None, ""):
        if required:
            raise UnreadableError(f"{name} is missing")
        return None
    try:
        return parsed_uuid(value) if isinstance(value, str) else UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise UnreadableError(f"{name} {shown(value)} is not a valid ID") from None


@lru_cache(maxsize=2**14)  # most events name ids that others have just named
def parsed_uuid(text: str) -> UUID:
    """Return the id that a text is; raise ValueError where it is none."""
    return UUID(text)


def lines(upstream: Mapping[str, Any], name: str) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the objects in a list, and whether all that stands there could be read as such."""
    found = upstream.get(name)
    if found in (None, ""):
        return [], True
    if not isinstance(found, list):
        return [], False
    objects: list[Mapping[str, Any]] = [line for line in found if isinstance(line, dict)]
    return objects, len(objects) == len(found)


def amount(upstream: Mapping[str, Any], name: str) -> str:
    """Return an amount, digit by digit as upstream wrote it; "" where it has none.

    One with an exponent is written out, which is as exact: 1.0E+3 is 1000.
    """
    value = upstream.get(name)
    if value in (None, ""):
        return ""
    is_one = not isinstance(value, (bool, dict, list))
    found = AMOUNT.fullmatch(str(value)[:200]) if is_one else None
    if found is None:
        raise UnreadableError(f"{name} {shown(value)} is not a decimal number")
    whole, decimals, only_decimals, exponent = found.groups(default="")
    if not exponent and len(found[0]) <= MOST_DIGITS:
        return found[0]
    shift = int(exponent or 0)
    # Counted before it is written out: a billion zeros must not be made only to be refused.
    digits = max(len(whole) + shift, 1) + max(len(decimals + only_decimals) - shift, 0)
    if digits > MOST_DIGITS and not Decimal(found[0]):
        return "0"
    if digits > MOST_DIGITS:
        raise UnreadableError(f"{name} {shown(value)} has more than {MOST_DIGITS} digits")
    return f"{Decimal(found[0]):f}" if exponent else found[0]


def moment(upstream: Mapping[str, Any], name: str) -> datetime | None:
    """Return a moment in UTC; None where it has none, or a placeholder that stands for none.

    RFC 3339 of any precision, one without a zone is UTC; a number counts the seconds, milli-,
    micro- or nanoseconds since 1970. A leap second is the second after it.
    """
    value = upstream.get(name)
    if value in (None, ""):
        return None
    if isinstance(value, str):
        try:
            return _usual_moment(value)
        except ValueError:
            pass
    is_one = not isinstance(value, (bool, dict, list))
    written = str(value)[:100].strip() if is_one else ""
    try:
        if _is_number(value, written):
            return _since_1970(written)
        if found := MOMENT.fullmatch(written):
            return _on_calendar(found)
    except ValueError:
        pass
    raise UnreadableError(f"{name} {shown(value)} is not a date and time")


@lru_cache(maxsize=2**14)  # an event repeats those of the last ones about its object
def _usual_moment(text: str) -> datetime | None:
    """Return a moment as the contract writes it. Raises ValueError for any other, and for a leap second."""
    if not USUAL_MOMENT(text):
        raise ValueError(text)
    return sane(datetime.fromisoformat(text))


def day(upstream: Mapping[str, Any], name: str) -> date | None:
    """Return a calendar date, of a moment the day that it names; None for none and a placeholder."""
    value = upstream.get(name)
    found = MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        first = _on_calendar(found, with_time=False) if found else moment(upstream, name)
    except ValueError:
        raise UnreadableError(f"{name} {shown(value)} is not a date") from None
    return first.date() if first else None


def text(length: int) -> Callable[[Mapping[str, Any], str], str]:
    """Return a reader of texts of at most ``length`` characters: a longer one is not kept in part."""

    def read(upstream: Mapping[str, Any], name: str) -> str:
        value = upstream.get(name)
        if value is None:
            return ""
        if isinstance(value, (bool, dict, list)):
            raise UnreadableError(f"{name}: {shown(value)} instead of a text")
        told = value if isinstance(value, str) else str(value)
        if not (told.isascii() and "\0" not in told):
            told = storable(told)
        if len(told) > length:
            raise UnreadableError(f"{name} has more than {length:,} characters")
        return told

    return read


word = text(WORD)


def total_tax(upstream: Mapping[str, Any], name: str) -> str:
    """Return the total of an execution's taxes."""
    taxes, is_whole = lines(upstream, name)
    totals = [line for line in taxes if line.get("type") == "TOTAL"]
    if not (totals or is_whole):
        raise UnreadableError(f"{name} is not a list of objects")
    return amount(totals[0], "amount") if totals else ""


def _is_number(value: object, written: str) -> bool:
    """Return whether a moment is told as a number; a text of few digits is none: 20260302 is a day."""
    found = EPOCH.fullmatch(written)
    return found is not None and (isinstance(value, int) or len(found[1]) > 8)


def _since_1970(written: str) -> datetime | None:
    number = Decimal(written)
    unit = next((unit for limit, unit in EPOCH_UNITS if abs(number) < limit), 10**9)
    try:
        return sane(YEAR_1970 + timedelta(microseconds=int(number * 10**6 / unit)))
    except OverflowError:  # beyond the calendar
        return None


def _on_calendar(found: re.Match[str], *, with_time: bool = True) -> datetime | None:
    """Return a moment of the calendar; None for a placeholder. Raises ValueError for what is on none."""
    year, month, day, *time = found.groups(default="0")
    if not EARLIEST.year <= int(year) + 1 <= LATEST.year + 1:
        return None  # before it is made a moment: neither year 0 nor 10000 can be one
    midnight = datetime(int(year), int(month), int(day), tzinfo=UTC)
    hour, minute, second, fraction, sign, *offset = time if with_time else ["0"] * 7
    is_leap, is_24 = int(second) == 60, int(hour) == 24 and not int(minute + second + fraction)
    moment = midnight.replace(
        hour=0 if is_24 else int(hour),
        minute=int(minute),
        second=59 if is_leap else int(second),
        microsecond=int(fraction[:6].ljust(6, "0")),
    ) + timedelta(days=is_24, seconds=is_leap)
    hours, minutes = map(int, offset)
    if hours > 23 or minutes > 59:
        raise ValueError("no zone is so far from UTC")
    off = timedelta(hours=hours, minutes=minutes)
    return sane(moment + off if sign == "-" else moment - off)


def or_none(read: Column, upstream: Mapping[str, Any], name: str) -> Any:
    """Return one value; None where it cannot be read."""
    try:
        return read(upstream, name)
    except UnreadableError:
        return None


_Columns = Mapping[str, Column]
_SHARED: _Columns = {
    "account_id": uuid,
    "currency": word,
    "cash_amount": amount,
    "client_reference": text(REFERENCE),
    "initiation_flow": word,
    "created_at": moment,
}
FIXED: Mapping[Kind, _Columns] = {
    Kind.PORTFOLIO_ORDER: {**_SHARED, "allocation_id": uuid, "type": word},
    Kind.ORDER: {
        **_SHARED,
        "instrument_id": word,
        "side": word,
        "order_type": word,
        "execution_flow": word,
    },
    Kind.EXECUTION: {
        "side": word,
        "currency": word,
        "cash_amount": amount,
        "share_quantity": amount,
        "price": amount,
        "venue_id": word,
        "transaction_time": moment,
    },
}
CURRENT: Mapping[Kind, _Columns] = {
    Kind.PORTFOLIO_ORDER: {
        "updated_at": moment,
        "cancellation_reason": word,
        "cancellation_details": text(FREE_TEXT),
    },
    Kind.ORDER: {
        "updated_at": moment,
        "cancellation_reason": word,
        "quantity": amount,
        "limit_price": amount,
        "stop_price": amount,
        "fee": amount,
    },
    Kind.EXECUTION: {"tax": total_tax, "settlement_date": day},
}
NAMES = {"tax": "taxes"}  # upstream's, where ours differ
NOTHING: Mapping[Column, None] = {uuid: None, moment: None, day: None}  # what is missing; else ""
ALL: Mapping[Kind, tuple[str, ...]] = {kind: (*FIXED[kind], *CURRENT[kind]) for kind in FIXED}
AMOUNTS = frozenset(
    name
    for columns in (*FIXED.values(), *CURRENT.values())
    for name, read in columns.items()
    if read in (amount, total_tax)
)


def says_same(name: str, value: object, other: object) -> bool:
    """Return whether two values of an attribute mean the same: amounts as numbers, so that 2.50 is 2.5."""
    if value == other or {value, other} <= {None, ""}:
        return True
    return name in AMOUNTS and is_equal(str(value or ""), str(other or ""))
