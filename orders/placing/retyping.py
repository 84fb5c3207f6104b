"""Whether somebody who confirms a placement has typed again what is placed. Pure."""

import re
from decimal import Decimal
from uuid import UUID

from orders.ids import bare

TAIL = 8  # characters of the account's id
AMOUNT = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)


def amount_problem(cash_amount: str, *, amount: str) -> str:
    """Return why the amount typed is not the one to confirm; "" if it is."""
    if _same_amount(amount.strip(), cash_amount):
        return ""
    return (
        "This is not the amount above. Type it in digits, with a point before the decimals and "
        "without the currency."
    )


def problems(cash_amount: str, account_id: UUID, *, amount: str, tail: str) -> dict[str, str]:
    """Return what does not fit, a sentence for each field; nothing where both were typed again."""
    found = {}
    if wrong := amount_problem(cash_amount, amount=amount):
        found["amount"] = f"{wrong} Or go back and edit the order."
    if bare(tail) != str(account_id)[-TAIL:]:
        found["tail"] = (
            f"These are not the last {TAIL} characters of the account above. Read them from the "
            "client's instruction; if they differ from those above, this is the wrong account."
        )
    return found


def _same_amount(typed: str, cash_amount: str) -> bool:
    return bool(AMOUNT.fullmatch(typed)) and Decimal(typed) == Decimal(cash_amount)
