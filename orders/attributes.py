"""Single values of upstream's objects, and which attributes of each kind we keep. Pure.

Nothing is checked against closed sets: an unknown enum value or field is kept and shown. What
cannot be stored exactly (an amount that is no number, a moment that is none) is refused with a
reason, never guessed. Source: investment-api.md, sections 2.2, 3.2, 3.3.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from orders.lifecycle import Kind

AMOUNT = re.compile(r"-?(\d{1,63}(\.\d{0,27})?|\.\d{1,27})", re.ASCII)


class UnreadableError(ValueError):
    """The payload cannot be read; the message says which part of it and why."""


def clean(value: object, length: int) -> str:
    """Return text that any database takes: no U+0000, no lone surrogates, at most ``length`` characters."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        raise UnreadableError(f"{str(value)[:40]!r} stands where a text should")
    text = str(value)
    if not text.isascii() or "\0" in text:
        text = text.replace("\0", "").encode("utf-8", "ignore").decode()
    return text[:length]


def uuid(upstream: Mapping[str, Any], name: str, *, required: bool = False) -> Any:
    """Return an id of upstream's, or None where it has none."""
    value = upstream.get(name)
    if value in (None, "") and not required:
        return None
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise UnreadableError(f"{name} {str(value)[:60]!r} is not a UUID") from None


def lines(upstream: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the objects in a list; none where it is missing."""
    found = upstream.get(name) or []
    if not isinstance(found, list) or not all(isinstance(line, dict) for line in found):
        raise UnreadableError(f"{name} is not a list of objects")
    return found


def amount(upstream: Mapping[str, Any], name: str) -> str:
    """Return an amount, digit by digit as upstream wrote it; "" where it has none."""
    value = upstream.get(name)
    digits = "" if value is None else str(value)
    if digits and not AMOUNT.fullmatch(digits):
        raise UnreadableError(
            f"{name} {digits[:60]!r} is not a decimal number of at most 90 digits"
        )
    return digits


def moment(upstream: Mapping[str, Any], name: str) -> datetime | None:
    """Return an RFC 3339 moment in UTC, whatever its number of decimals; one without a zone is UTC."""
    value = upstream.get(name)
    if value in (None, ""):
        return None
    try:
        moment = datetime.fromisoformat(str(value).upper())
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (OverflowError, ValueError):
        raise UnreadableError(f"{name} {str(value)[:60]!r} is not an RFC 3339 moment") from None


def day(upstream: Mapping[str, Any], name: str) -> date | None:
    """Return a calendar date."""
    value = upstream.get(name)
    if value in (None, ""):
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise UnreadableError(f"{name} {str(value)[:60]!r} is not a date") from None


def text(length: int) -> Callable[[Mapping[str, Any], str], str]:
    """Return a reader of texts of at most ``length`` characters."""
    return lambda upstream, name: clean(upstream.get(name), length)


def tax(upstream: Mapping[str, Any], _: str) -> str:
    """Return the total of an execution's taxes."""
    totals = [line for line in lines(upstream, "taxes") if line.get("type") == "TOTAL"]
    return amount(totals[0], "amount") if totals else ""


_Columns = Mapping[str, Callable[[Mapping[str, Any], str], object]]
_SHARED: _Columns = {
    "account_id": uuid,
    "currency": text(3),
    "cash_amount": amount,
    "client_reference": text(100),
    "initiation_flow": text(40),
    "created_at": moment,
}
FIXED: Mapping[Kind, _Columns] = {
    Kind.PORTFOLIO_ORDER: {**_SHARED, "allocation_id": uuid, "type": text(16)},
    Kind.ORDER: {
        **_SHARED,
        "instrument_id": text(12),
        "side": text(8),
        "order_type": text(8),
        "execution_flow": text(24),
    },
    Kind.EXECUTION: {
        "side": text(8),
        "currency": text(3),
        "cash_amount": amount,
        "share_quantity": amount,
        "price": amount,
        "venue_id": text(64),
        "transaction_time": moment,
    },
}
CURRENT: Mapping[Kind, _Columns] = {
    Kind.PORTFOLIO_ORDER: {
        "updated_at": moment,
        "cancellation_reason": text(64),
        "cancellation_details": text(10_000),
    },
    Kind.ORDER: {
        "updated_at": moment,
        "cancellation_reason": text(64),
        "quantity": amount,
        "limit_price": amount,
        "stop_price": amount,
        "fee": amount,
    },
    Kind.EXECUTION: {"tax": tax, "settlement_date": day},
}
