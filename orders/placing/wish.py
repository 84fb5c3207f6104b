"""What somebody wants to place: its fields checked, and the exact body that asks for it. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from uuid import UUID

from orders.currencies import decimals_of
from orders.ids import LIKE, read_id

CURRENCIES = ("EUR", "GBP", "USD")
SIDES = ("BUY", "SELL")
_YES, _NO = frozenset({"true", "on", "1", "yes"}), frozenset({"", "false", "off", "0", "no"})
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,62})(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to place, as ``read_wish`` lets it through. The amount stays text, digit by digit."""

    user_id: UUID
    account_id: UUID
    cash_amount: str
    currency: str
    side: str
    post_tax: bool = False


class InvalidWishError(ValueError):
    """A wish that upstream would refuse; ``problems`` holds for each field a sentence on what to do."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems: dict[str, str] = dict(problems)


def read_wish(fields: Mapping[str, str]) -> Wish:
    """Read what was typed, spaces around it aside. Raises InvalidWishError with all that is wrong."""
    typed = {
        name: str(fields.get(name) or "").strip()
        for name in ("user_id", "account_id", "cash_amount", "currency", "side", "post_tax")
    }
    if problems := dict(_problems(typed)):
        raise InvalidWishError(problems)
    user_id, account_id = read_id(typed["user_id"]), read_id(typed["account_id"])
    assert user_id is not None  # noqa: S101 -- checked above
    assert account_id is not None  # noqa: S101
    return Wish(
        user_id=user_id,
        account_id=account_id,
        cash_amount=typed["cash_amount"],
        currency=typed["currency"],
        side=typed["side"],
        post_tax=typed["post_tax"].lower() in _YES,
    )


def body_of(wish: Wish) -> bytes:
    """Return the exact bytes of the request. Another wish has other bytes, the same wish the same."""
    document = asdict(wish) | {"user_id": str(wish.user_id), "account_id": str(wish.account_id)}
    return json.dumps(document, separators=(",", ":")).encode()


def _problems(typed: Mapping[str, str]) -> list[tuple[str, str]]:
    checks = (
        ("user_id", _problem_of_id(typed["user_id"], "user")),
        ("account_id", _problem_of_id(typed["account_id"], "account")),
        ("cash_amount", _problem_of_amount(typed["cash_amount"], typed["currency"])),
        ("currency", _problem_of_word(typed["currency"], "currency", CURRENCIES)),
        ("side", _problem_of_word(typed["side"], "side", SIDES)),
        ("post_tax", _problem_of_flag(typed["post_tax"])),
    )
    return [(name, problem) for name, problem in checks if problem]


def _problem_of_id(text: str, what: str) -> str:
    return "" if read_id(text) else f"Enter the whole {what} ID: {LIKE}."


def _problem_of_amount(text: str, currency: str) -> str:
    if not _AMOUNT.fullmatch(text):
        return "Enter the amount in digits, with a point before the decimals: 1000 or 1000.50."
    decimals = decimals_of(currency)
    if currency in CURRENCIES and len(text.partition(".")[2]) > decimals:
        return f"Enter at most {decimals} decimals for {currency}."
    return "" if text.strip("0.") else "Enter an amount above zero."


def _problem_of_word(text: str, what: str, words: tuple[str, ...]) -> str:
    return "" if text in words else f"Choose the {what}: {', '.join(words[:-1])} or {words[-1]}."


def _problem_of_flag(text: str) -> str:
    return "" if text.lower() in _YES | _NO else "Enter true or false."
