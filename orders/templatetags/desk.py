"""How statuses, moments, durations, money, ids and progress look on every screen."""

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from uuid import UUID

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from backoffice import display
from orders.attributes import MOST_DIGITS
from orders.clocks import kind_of
from orders.currencies import decimals_of
from orders.executions import EXECUTED, REVERSED
from orders.lifecycle import is_final
from orders.models import Order, Outcome, PortfolioOrder
from orders.progress import Progress
from orders.timeline.durations import SECOND
from orders.timeline.durations import duration as in_words
from orders.timeline.sentences import opening
from orders.tracked import Source
from orders.words import is_known

register = template.Library()
register.filter(opening)

EMPTY = "—"
JUST_NOW = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)

# Tone (the colour) of a status; also the name of its icon in the sprite.
STATUSES = {
    "NEW": "new",
    "PROCESSING": "processing",
    "FILLED": "filled",
    "SETTLED": "settled",
    "CANCELLED": "cancelled",
    REVERSED: "reversed",
    EXECUTED: "executed",
}
OUTCOMES = {
    Outcome.PENDING: ("processing", "processing"),
    Outcome.APPLIED: ("filled", "filled"),
    Outcome.NO_CHANGE: ("new", "same"),
    Outcome.IGNORED: ("new", "slash"),
    Outcome.QUARANTINED: ("failed", "failed"),
    Outcome.DISMISSED: ("new", "slash"),
    Outcome.FAILED: ("failed", "failed"),
    Outcome.NOTED: ("new", "note"),
}
AS_THEY_ARE = frozenset({"currency", "instrument_id"})
NAMED = {
    "order_type": "an order type",
    "type": "a type",
    "side": "a side",
    "execution_flow": "an execution flow",
    "initiation_flow": "an initiation flow",
    "cancellation_reason": "a reason",
    "currency": "a currency",
    "instrument_id": "an ISIN, the only kind of instrument ID",
}
WORDS = {"": "not known yet"}  # of a status: an order that is only named has none
SOURCE_WORDS = {
    Source.WEBHOOK: "webhook",
    Source.POLL: "check",
    Source.REFETCH: "refetch",
    Source.STAFF: "staff",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return an icon of the sprite; the word beside it says what it means."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"/></svg>', name)


def pill(tone: str, symbol: str, word: str) -> SafeString:
    """Return a badge: icon, word and colour."""
    return format_html('<span class="badge tone-{}">{}{}</span>', tone, icon(symbol), word)


@register.filter
def badge(status: str) -> SafeString:
    """Return the badge of a status; one that this release does not know shows its raw word."""
    if status in STATUSES:
        return pill(STATUSES[status], STATUSES[status], status.capitalize())
    return pill("new", "unknown", WORDS.get(status, status))


@register.filter
def outcome_badge(outcome: str) -> SafeString:
    """Return the badge of what became of a journal entry."""
    tone, symbol = OUTCOMES[Outcome(outcome)]
    return pill(tone, symbol, Outcome(outcome).label)


@register.filter
def tone(status: str) -> str:
    """Return the class of the colour of a status."""
    return STATUSES.get(status, "new")


@register.simple_tag
def stale_badge() -> SafeString:
    """Return the badge of what has no news."""
    return pill("stale", "stale", "Stale")


@register.filter
def source_mark(source: str) -> SafeString:
    """Return the shape of a source and its name: where we learned it."""
    return format_html(
        '<span class="source">{}{}</span>', icon(f"source-{source.lower()}"), Source(source).label
    )


@register.filter
def source_word(source: str) -> str:
    """Return a source as one word of a sentence."""
    return SOURCE_WORDS[Source(source)] if source else ""


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """Return a moment relative to now, the exact local time as its title."""
    if moment is None:
        return EMPTY
    return _time(moment, relative(moment, timezone.now()), "ago")


def when(moment: datetime | None) -> SafeString | str:
    """Return a moment in a list as the person wants it: relative to now, or absolute."""
    return exact(moment) if display.chosen("times") == "absolute" else ago(moment)


@register.filter
def clock(moment: datetime | None) -> SafeString | str:
    """Return the time of day of a moment to the second, in the display zone; its day is the heading's."""
    if moment is None:
        return EMPTY
    return format_html("<time>{}</time>", date_format(_local(moment), "H:i:s"))


@register.filter
def exact(moment: datetime | None) -> SafeString | str:
    """Return a moment to the second, with its day, in the display zone."""
    if moment is None:
        return EMPTY
    stamp = _local(moment).isoformat(timespec="milliseconds")
    return format_html('<time datetime="{}">{}</time>', stamp, _exact(moment))


def relative(moment: datetime, now: datetime) -> str:
    """Return "4 min ago", "just now", "in 4 s" or "in 6 min": whole seconds, whole minutes from one on.

    Of what is to come the second that has begun counts whole, and it is never "just now".
    """
    past = now - moment
    if timedelta() <= past < JUST_NOW:
        return "just now"
    is_past = past > timedelta()
    seconds = past // SECOND if is_past else -(past // SECOND)  # rounded down, and up
    away = seconds * SECOND
    away -= away % MINUTE if away >= MINUTE else timedelta()
    return f"{in_words(away)} ago" if is_past else f"in {in_words(away)}"


@register.filter
def next_check(row: PortfolioOrder | Order) -> SafeString | str:
    """Return when upstream is asked next; a moment that has passed tells of a dead worker."""
    moment = row.check_after
    if moment is None:
        ended = is_final(kind_of(row), row.status)
        return "none, order is final" if ended else "with its portfolio order"
    return due(moment)


def due(moment: datetime) -> SafeString | str:
    """Return when something is done next; in amber how long ago it should have been."""
    now = timezone.now()
    late = now - moment
    if late >= JUST_NOW:
        return _time(moment, f"overdue {in_words(late)}", "due", "late")
    return _time(moment, relative(moment, now) if late < timedelta() else "now", "due")


@register.filter
def since(moment: datetime | None) -> SafeString | str:
    """Return how long something has lasted that goes on; the script keeps it going, too."""
    if moment is None:
        return EMPTY
    return _time(moment, in_words(timezone.now() - moment), "since")


@register.filter
def duration(value: timedelta | None) -> str:
    """Return a duration as people say it."""
    return EMPTY if value is None else in_words(value)


@register.filter
def short_id(value: UUID | None) -> SafeString | str:
    """Return the first eight characters of an id, the whole as its title."""
    if value is None:
        return EMPTY
    return format_html('<span class="id" title="{}">{}</span>', value, str(value)[:8])


@register.filter
def money(amount: str, currency: str) -> str:
    """Return an amount as "2,500.00 EUR"; no digit that upstream sent is lost."""
    return f"{grouped(amount, decimals_of(currency))} {currency}".strip() if amount else EMPTY


@register.filter
def number(amount: str) -> str:
    """Return a quantity or a price with the decimals upstream sent."""
    return grouped(amount, 0) if amount else EMPTY


@register.filter
def thousands(count: int) -> str:
    """Return a count with its thousands apart."""
    return f"{count:,}"


def grouped(amount: str, decimals: int) -> str:
    """Return ``amount`` with its digits grouped and ``decimals`` decimals at least; as it is if no number."""
    try:
        value = Decimal(amount)
    except InvalidOperation:
        return amount
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MOST_DIGITS:  # infinite, or as good as
        return amount
    return f"{value:,.{max(-exponent, decimals)}f}"


@register.filter
def humanised(word: str) -> str:
    """Return a word of upstream's lists as words: SAVINGS_PLAN is "Savings plan"."""
    return word if word == "API" else word.replace("_", " ").capitalize() or EMPTY


@register.filter
def said(word: str, name: str) -> SafeString | str:
    """Return a word of the closed set ``name`` as words; one that this release does not know as it is, marked."""
    if is_known(name, word):
        return word if name in AS_THEY_ARE else humanised(word)
    return format_html("{} {}", word, unknown(word, name))


@register.filter
def unknown(word: str, name: str) -> SafeString | str:
    """Return the mark of a word that is none of its closed set; "" for those that are."""
    if is_known(name, word):
        return ""
    what = f"Not {NAMED[name]} that this release knows"
    return format_html('<span title="{}">{}</span>', what, pill("new", "unknown", "Unknown"))


@register.filter
def bar(progress: Progress, size: str) -> SafeString:
    """Return progress as a bar with a segment for each order; ``size`` is "small" or "wide"."""
    segments = format_html_join(
        "",
        '<rect class="seg-{}" x="{}%" y="1" width="{}%" height="6" rx="1.5"/>',
        (
            (tone(part.status), part.x, part.width)
            for part in progress.segments(gap=1.6 if size == "small" else 0.5)
        ),
    )
    return format_html(
        '<svg class="bar bar-{}" role="img" aria-label="{}">{}</svg>',
        size,
        progress.sentence,
        segments,
    )


@register.simple_tag
def zone(moment: datetime | None = None) -> str:
    """Return the display zone, once for each card: "Times in Europe/Berlin (UTC+1)", "Times in UTC".

    The offset is that of ``moment``, which the card is about, or of now.
    """
    name = timezone.get_current_timezone_name()
    if name == "UTC":
        return "Times in UTC"
    offset = timezone.localtime(moment).strftime("%z")
    minutes = "" if offset[3:] == "00" else f":{offset[3:]}"
    return f"Times in {name} (UTC{offset[0]}{int(offset[1:3])}{minutes})"


def _time(moment: datetime, text: str, tick: str, tone: str = "") -> SafeString:
    """Return a moment told in relation to now; ``tick`` is how the script goes on telling it."""
    stamp = _local(moment).isoformat(timespec="milliseconds")
    return format_html(
        '<time datetime="{}" data-tick="{}"{} title="{}">{}</time>',
        stamp,
        tick,
        format_html(' class="{}"', tone) if tone else "",
        _exact(moment),
        text,
    )


def _exact(moment: datetime) -> str:
    return date_format(_local(moment), "j M Y, H:i:s")


def _local(moment: datetime) -> datetime:
    return timezone.localtime(moment)
