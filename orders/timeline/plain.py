"""Messages that were written for a log, as people read them. Pure.

A message keeps its moments in UTC, for it was written once and is read in any zone: where it is shown
they become moments of that zone. What was called is left out: people ask for orders, not for paths.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo

CALL = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE) /\S*: ")
CLOCK = re.compile(r"\b(\d\d):(\d\d):(\d\d) UTC\b")
ISO = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| ?UTC\b|\+00:?00)")
PLAINER = {
    "ot sent, ": "ot sent: ",
    "rate limited by upstream": "rate limited by the broker",
}
HALF_A_DAY = timedelta(hours=12)


def plain(message: str, zone: tzinfo, *, said_at: datetime, begins: bool = True) -> str:
    """Return ``message`` without paths and with its moments in ``zone``; ``said_at`` is when it was written.

    It begins a sentence, unless told otherwise: then its first word is not capitalised.

    A time without a day is of the day that is nearest to that. One of another day than that of
    ``said_at`` says so: "00:12:00 on 3 Mar 2026".
    """
    text = CALL.sub("", message)
    if begins and CALL.match(message):
        text = f"{text[:1].upper()}{text[1:]}"
    for words, plainer in PLAINER.items():
        text = text.replace(words, plainer)
    text = ISO.sub(lambda found: _shown(_of_iso(found[0]), zone, said_at), text)
    return CLOCK.sub(
        lambda found: _shown(_nearest(found, said_at), zone, said_at) or found[0], text
    )


def _of_iso(text: str) -> datetime:
    bare = (
        text.removesuffix("UTC")
        .strip()
        .removesuffix("Z")
        .removesuffix("+00:00")
        .removesuffix("+0000")
    )
    return datetime.fromisoformat(bare).replace(tzinfo=UTC)


def _nearest(found: re.Match[str], said_at: datetime) -> datetime | None:
    hour, minute, second = map(int, found.groups())
    if hour > 23 or minute > 59 or second > 59:
        return None
    day = said_at.astimezone(UTC)
    moment = day.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if moment - day > HALF_A_DAY:
        return moment - 2 * HALF_A_DAY
    return moment + 2 * HALF_A_DAY if day - moment > HALF_A_DAY else moment


def _shown(moment: datetime | None, zone: tzinfo, said_at: datetime) -> str:
    if moment is None:
        return ""
    local = moment.astimezone(zone)
    if local.date() == said_at.astimezone(zone).date():
        return f"{local:%H:%M:%S}"
    return f"{local:%H:%M:%S} on {local.day} {local:%b %Y}"
