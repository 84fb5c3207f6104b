"""Whether somebody who confirms a placement has typed again what is placed. Pure."""

import re
from decimal import Decimal
from uuid import UUID

TAIL = 8  # characters of the account's id
AMOUNT = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)


def problems(cash_amount: str, account_id: UUID, *, amount: str, tail: str) -> dict[str, str]:
    """Return what does not fit, a sentence for each field; nothing where both were typed again."""
    found = {}
    if not _same_amount(amount.strip(), cash_amount):
        found["amount"] = (
            "This is not the amount above. Type it in digits, with a point before the decimals and "
            "without the currency, or change what is to be placed."
        )
    if tail.strip().lower() != str(account_id)[-TAIL:]:
        found["tail"] = (
            f"These are not the last {TAIL} characters of the account above. Read them where the "
            "order comes from; if they differ from those above, the account is the wrong one."
        )
    return found


def _same_amount(typed: str, cash_amount: str) -> bool:
    return bool(AMOUNT.fullmatch(typed)) and Decimal(typed) == Decimal(cash_amount)
