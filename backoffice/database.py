"""What an error of the database asks for: another try, or another way."""

from django.db import InterfaceError, OperationalError

TOO_LARGE = "54"  # the class of PostgreSQL's codes for what exceeds one of its limits


def may_pass(error: Exception) -> bool:
    """Return whether the same may succeed later: the database is away, locked, or full.

    Both databases call a statement that is too large for them an operational error, too: that
    fails whenever it is tried, and what waits for it would wait for ever.
    """
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    code = getattr(error.__cause__, "sqlstate", None) or ""
    return not (code.startswith(TOO_LARGE) or "too many SQL variables" in str(error))
