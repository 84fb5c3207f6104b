"""What a person typed to start a reconciliation -> what to compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from orders.admin.filters import start_of
from orders.ids import LIKE, read_id
from orders.reconciliation.models import Scope


class WrongError(ValueError):
    """What was typed makes no sense; the message says what."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to compare; moments are the beginnings of days in the display zone."""

    scope: Scope
    account_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


def read(typed: Mapping[str, str]) -> Asked:
    """Return what was asked for; the last day counts. Raises WrongError."""
    scope = typed.get("scope", "")
    if scope == Scope.OPEN:
        return Asked(Scope.OPEN)
    if scope == Scope.ACCOUNT:
        return Asked(Scope.ACCOUNT, account_id=_account(typed.get("account", "")))
    if scope != Scope.WINDOW:
        raise WrongError("Choose what to compare.")
    first, last = _day(typed.get("since", "")), _day(typed.get("until", ""))
    if first is None:
        raise WrongError("Enter the first day.")
    if last and last < first:
        raise WrongError("The last day is before the first.")
    until = start_of(last + timedelta(days=1)) if last else None
    return Asked(Scope.WINDOW, since=start_of(first), until=until)


def _account(text: str) -> UUID:
    if pk := read_id(text):
        return pk
    raise WrongError(f"Enter the whole account ID, as shown on an order's page: {LIKE}.")


def _day(text: str) -> date | None:
    if not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise WrongError(f"{text[:40]} is not a date. Write it like 2026-03-02.") from None
    if not 2000 <= day.year < 9000:
        raise WrongError(f"{text[:40]} is not a sensible date.")
    return day
