"""Dates as people write them at the command line."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime

from django.utils import timezone

FORMS = "2026-03-02 or 2026-03-02T09:00+01:00; without a zone in that of TIME_ZONE"


def moment(text: str) -> datetime:
    """Return a date or moment; one without a zone is in the display zone."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else timezone.make_aware(moment)
        moment.astimezone(UTC)  # one at the end of the calendar may not exist there
    except (OverflowError, ValueError):
        raise ArgumentTypeError(f"{text!r} is not a date like 2026-03-02") from None
    return moment
