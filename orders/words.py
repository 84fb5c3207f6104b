"""The words of upstream's closed sets that this release knows. Pure.

Unknown ones are kept and shown as they are: upstream adds words within a major version. Staff see
that this release does not know what follows from them. Source: investment-api.md, sections 2 and 3.
"""

import re
from collections.abc import Mapping

ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
SIDES = frozenset({"BUY", "SELL"})
KNOWN: Mapping[str, frozenset[str]] = {
    "side": SIDES,
    "type": SIDES | {"REBALANCING"},
    "order_type": frozenset({"MARKET", "LIMIT", "STOP"}),
    "execution_flow": frozenset({"STRAIGHT_THROUGH", "BLOCK"}),
    "initiation_flow": frozenset({
        "API", "SAVINGS_PLAN", "AUTO_INVESTMENT", "PORTFOLIO", "PORTFOLIO_REBALANCING",
        "CASH_DIVIDEND_REINVESTMENT", "SELL_TO_COVER_FEES", "SELL_TO_COVER_TAXES",
        "ACCOUNT_LIQUIDATION", "UPVEST_OPERATIONS", "CLIENT_OPERATIONS",
    }),
    "cancellation_reason": frozenset({
        "ACCOUNT_IS_EMPTY", "CANCELLED_BY_CLIENT", "CANCELLED_BY_UPVEST", "PORTFOLIO_IS_BALANCED",
        "SELL_LIMIT_EXCEEDED", "CANCELLED_BY_UPVEST_OPERATIONS", "CANCELLED_BY_TRADING_PARTNER",
        "CANCELLED_BY_UPVEST_PLATFORM",
    }),
    "currency": frozenset({"EUR", "GBP", "USD"}),
}  # fmt: skip


def is_known(name: str, word: str) -> bool:
    """Return whether a word is one of the set that ``name`` has; so is none at all."""
    if name == "instrument_id":
        return not word or ISIN.fullmatch(word) is not None
    return not word or word in KNOWN[name]
