"""Reads the bodies of calls, as strictly as the contract words them."""

import json
import re
from typing import Any
from uuid import UUID

from backoffice.http_signatures import Message

from . import amounts
from .answers import ProblemError
from .objects import Json
from .placements import OrderPlacement, Placement

_AMOUNT = re.compile(r"[0-9]{0,63}(\.[0-9]{1,27})?")
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")


def body_of(message: Message) -> Json:
    """Return the JSON object that the body holds; ProblemError if it holds none."""
    if not message.headers.get("content-type", "").startswith("application/json"):
        raise ProblemError(400, "The content-type must be application/json.")
    try:
        document = json.loads(message.body)
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "The body is not JSON.") from error
    if not isinstance(document, dict):
        raise ProblemError(400, "The body is not a JSON object.")
    return document


def placement(document: Json) -> Placement:
    """Read the body of POST /portfolios/orders."""
    _check_names(
        document, required="user_id account_id cash_amount currency side", optional="post_tax"
    )
    post_tax = document.get("post_tax", False)
    if not isinstance(post_tax, bool):
        raise ProblemError(400, "post_tax must be true or false.")
    return Placement(
        user_id=_uuid(document, "user_id"),
        account_id=_uuid(document, "account_id"),
        cash_amount=_amount(document),
        currency=_word(document, "currency", "EUR GBP"),
        type=_word(document, "side", "BUY SELL"),
        post_tax=post_tax,
    )


def order_placement(document: Json) -> OrderPlacement:
    """Read the body of POST /orders."""
    _check_names(
        document,
        required="user_id account_id currency side instrument_id instrument_id_type order_type",
        optional="cash_amount quantity limit_price stop_price client_reference expiry_date"
        " user_instrument_fit_acknowledgement",
    )
    if (
        not _ISIN.fullmatch(str(document["instrument_id"]))
        or document["instrument_id_type"] != "ISIN"
    ):
        raise ProblemError(400, "instrument_id must be an ISIN.")
    order_type = _word(document, "order_type", "MARKET LIMIT STOP")
    return OrderPlacement(
        user_id=_uuid(document, "user_id"),
        account_id=_uuid(document, "account_id"),
        cash_amount=_amount(document) if order_type == "MARKET" else "0",
        instrument_id=document["instrument_id"],
        currency=_word(document, "currency", "EUR GBP USD"),
        side=_word(document, "side", "BUY SELL"),
        order_type=order_type,
        quantity=str(document.get("quantity", "0")),
        limit_price=str(document.get("limit_price", "")),
        stop_price=str(document.get("stop_price", "")),
        client_reference=str(document.get("client_reference", "")),
    )


def _check_names(document: Json, *, required: str, optional: str) -> None:
    if missing := set(required.split()) - set(document):
        raise ProblemError(400, f"{', '.join(sorted(missing))} is required.")
    if unknown := set(document) - set(required.split()) - set(optional.split()):
        raise ProblemError(400, f"Not accepted here: {', '.join(sorted(unknown))}.")


def _uuid(document: Json, name: str) -> str:
    try:
        return str(UUID(document[name]))
    except (ValueError, TypeError, AttributeError) as error:
        raise ProblemError(400, f"{name} must be a UUID.") from error


def _word(document: Json, name: str, allowed: str) -> str:
    value: Any = document[name]
    if value not in allowed.split():
        raise ProblemError(400, f"{name} must be one of {allowed}.")
    return str(value)


def _amount(document: Json) -> str:
    amount = document.get("cash_amount")
    if not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        raise ProblemError(400, "cash_amount must be a decimal string.")
    if not amounts.cents(amount):
        raise ProblemError(422, "cash_amount must be at least 0.01.")
    return amount
