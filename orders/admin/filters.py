"""Filters of the lists: closed sets of choices only, each answered from an index."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from backoffice.asked import quoted
from orders import counted
from orders.lifecycle import KNOWN_STATUSES
from orders.models import OTHER_TOPIC, RARE_TOPIC, Outcome
from orders.tracked import Source

DONE = ("DONE", "Filled or settled")
LIFE = ("NEW", "PROCESSING", "FILLED", "SETTLED", "CANCELLED")  # in the order in which it passes


class ChoiceFilter(SimpleListFilter):
    """A filter with the choices of its class; with a value that is none of them, the list shows nothing."""

    choices_given: ClassVar[Iterable[tuple[str, str]]] = ()
    any_label: ClassVar[str] = "All"

    @classmethod
    def names(cls) -> list[str]:
        """Return the parameters that it reads."""
        return [str(cls.parameter_name)]

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        """The choices."""
        return list(self.choices_given)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The choices as links; the first takes the filter away."""
        first, *rest = super().choices(changelist)
        yield {**first, "display": self.any_label}
        yield from rest

    def has_output(self) -> bool:
        """Whether it is shown: also one without choices that was given a value, which is wrong then."""
        return bool(self.lookup_choices) or bool(self.value())

    def doubts(self) -> list[str]:
        """Return what it does not understand of its parameters, a sentence each."""
        value = str(self.value() or "")
        return (
            [f"{self.title} {quoted(value)} is not understood."] if value != self.chosen() else []
        )

    def chosen(self) -> str:
        """Return the value chosen, "" for none."""
        value = self.value() or ""
        return value if value in {str(lookup) for lookup, _ in self.lookup_choices} else ""

    def words(self) -> str:
        """Return what is chosen, as the page says it; "" for nothing."""
        chosen = self.chosen()
        return next((str(label) for value, label in self.lookup_choices if value == chosen), "")


class StatusFilter(ChoiceFilter):
    """By status; those that this release does not know in one choice."""

    title = "Status"
    parameter_name = "status"
    choices_given = [
        ("OPEN", "Open"),
        *((word, word.capitalize()) for word in sorted(KNOWN_STATUSES, key=LIFE.index)),
        ("OTHER", "Unknown"),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows in the status chosen."""
        chosen = self.chosen()
        if chosen == "OPEN":
            return counted.still_open(queryset)
        if chosen == "DONE":
            return counted.done(queryset)
        if chosen == "OTHER":
            return counted.of_unknown_status(queryset)
        return queryset.filter(status=chosen) if chosen else queryset


class PortfolioOrderStatusFilter(StatusFilter):
    """The same, with what has been traded in one choice: a portfolio order settles days later."""

    choices_given = [
        choice
        for given in StatusFilter.choices_given
        for choice in ([given, DONE] if given[0] == "SETTLED" else [given])
    ]


class FreshnessFilter(ChoiceFilter):
    """By how long nothing new was heard, and whether anybody asks."""

    title = "Update status"
    parameter_name = "freshness"
    choices_given = [("stale", "Stale"), ("due", "Check due"), ("overdue", "Check overdue")]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet:
        """Return the rows that are as chosen, in the list's own order."""
        now = timezone.now()
        rows: QuerySet = queryset
        match self.chosen():
            case "stale":
                rows = queryset.stale(now=now)
            case "due":
                rows = queryset.filter(pk__in=queryset.model.objects.due(now=now).values("pk"))
            case "overdue":
                rows = queryset.overdue(now=now)
        return rows


class OrderFreshnessFilter(FreshnessFilter):
    """Orders are asked for by their portfolio order; those without one have checks of their own."""

    choices_given = [("due", "Check due"), ("overdue", "Check overdue")]


class MomentFilter(ChoiceFilter):
    """By a moment, in the display zone: today, the last days, or the days from one to another.

    ``?placed=7d``, or ``?placed_from=2026-11-01&placed_to=2026-11-22``, where the last day counts.
    ``?placed=24h`` is counted back from now. A bar of a chart leads to its span, without the end:
    ``?placed=2026-11-22T09:00Z/2026-11-22T10:00Z``.
    """

    template = "admin/orders/includes/moment_filter.html"
    any_label = "Any time"
    column: ClassVar[str]
    days: ClassVar[dict[str, int]] = {"today": 0, "7d": 6, "30d": 29}
    choices_given = [
        ("24h", "Last 24 hours"),
        ("today", "Today"),
        ("7d", "Last 7 days"),
        ("30d", "Last 30 days"),
    ]

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: ModelAdmin
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.ends = {
            word: params.pop(name, [""])[-1].strip()
            for word, name in zip(("from", "to"), self.names()[1:], strict=True)
        }
        self.first, self.last = map(_day, self.ends.values())
        self.span = span_of(self.value() or "")
        self.kept: list[tuple[str, str]] = []

    @classmethod
    def names(cls) -> list[str]:
        """Return the parameters: of the choice, of the first day and of the last."""
        name = str(cls.parameter_name)
        return [name, f"{name}_from", f"{name}_to"]

    def expected_parameters(self) -> list[str | None]:
        """Return all of them, for the link that clears the filters."""
        return [*self.names()]

    @property
    def is_range(self) -> bool:
        """Whether days were given instead of a choice."""
        return bool(self.first or self.last)

    def doubts(self) -> list[str]:
        """Return what it does not understand: a choice, a text that is no day, days in the wrong order."""
        found = [] if self.span else super().doubts()
        for word, text in self.ends.items():
            if text and not _day(text):
                found.append(f"{self.title} {word} {quoted(text)} is not a date.")
        if self.first and self.last and self.first > self.last:
            found.append(
                f"{self.title} from {self.first:%-d %b %Y} to {self.last:%-d %b %Y}: "
                "the first day is after the last."
            )
        if self.is_range and self.value():
            found.append(f"{self.title} is given more than once.")
        return found

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The choices as links that take the days away, and what the form of the days keeps."""
        self.kept = [
            (name, value)
            for name, values in changelist.filter_params.items()
            for value in values
            if name not in self.names()
        ]
        ends = dict.fromkeys(self.names()[1:])
        links = [ends, *({**ends, self.parameter_name: given} for given, _ in self.lookup_choices)]
        for choice, link in zip(super().choices(changelist), links, strict=True):
            gone = [self.parameter_name] if link is ends else []
            query = changelist.get_query_string(link, gone)
            yield {
                **choice,
                "query_string": query,
                "selected": choice["selected"] and not self.is_range,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows from the beginning of the first day to the end of the last, or of the span."""
        first, last = self.first, self.last
        if not self.is_range and self.span:
            begins, ends = self.span
            return queryset.filter(**{f"{self.column}__gte": begins, f"{self.column}__lt": ends})
        if not self.is_range and self.chosen() == "24h":
            return queryset.filter(**{f"{self.column}__gte": timezone.now() - counted.DAY})
        if not self.is_range and (chosen := self.chosen()):
            first = timezone.localdate() - timedelta(days=self.days[chosen])
        if first:
            queryset = queryset.filter(**{f"{self.column}__gte": start_of(first)})
        if last:
            after = start_of(last + timedelta(days=1))
            queryset = queryset.filter(**{f"{self.column}__lt": after})
        return queryset

    def words(self) -> str:
        """Return what is chosen, with the days that it is about."""
        if not self.is_range:
            return super().words()
        ends = [f"from {self.first}" if self.first else "", f"to {self.last}" if self.last else ""]
        return " ".join(filter(None, ends))


class PlacedFilter(MomentFilter):
    """By when upstream took the order."""

    title, parameter_name, column = "Placed", "placed", "created_at"


class FilledFilter(MomentFilter):
    """By when a portfolio order was filled; where nobody told that, by when it settled."""

    title, parameter_name, column = "Filled", "filled", "done_at"
    unknown = "unknown"
    choices_given = [*MomentFilter.choices_given, (unknown, "Last 24 hours, fill time unknown")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows that were filled then."""
        if not self.is_range and self.chosen() == self.unknown:
            since = timezone.now() - counted.DAY
            return counted.of_unknown_fill_time(counted.done_since(queryset, since))
        if self.is_range or self.span or self.chosen():
            return super().queryset(request, counted.with_end(counted.done(queryset)))
        return queryset


class RecoveredFilter(ChoiceFilter):
    """By what a check or a refetch told that a webhook should have told, in the last 7 days."""

    title, parameter_name = "Recovered, last 7 days", "recovered"
    sources = {
        "any": counted.ASKS,
        "poll": (Source.POLL,),
        "refetch": (Source.REFETCH,),
    }
    choices_given = [
        ("any", "By check or refetch"),
        ("poll", "By scheduled check"),
        ("refetch", "By refetch"),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the answers that told it."""
        if not (chosen := self.chosen()):
            return queryset
        since = timezone.now() - counted.WEEK
        return counted.recovered(queryset, since, self.sources[chosen])


class RecordedFilter(MomentFilter):
    """By when we learned it."""

    title, parameter_name, column = "Received", "received", "recorded_at"


class TypeFilter(ChoiceFilter):
    """By the type of a portfolio order."""

    title = "Type"
    parameter_name = "type"
    choices_given = [("BUY", "Buy"), ("SELL", "Sell"), ("REBALANCING", "Rebalancing")]
    column: ClassVar[str] = "type"

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the rows of the type chosen."""
        chosen = self.chosen()
        return queryset.filter(Q((self.column, chosen))) if chosen else queryset


class SideFilter(TypeFilter):
    """By the side of an order."""

    title = "Side"
    parameter_name = column = "side"
    choices_given = [("BUY", "Buy"), ("SELL", "Sell")]


class OutcomeFilter(TypeFilter):
    """By what became of an entry."""

    title = "Outcome"
    parameter_name = column = "outcome"
    choices_given = Outcome.choices


class TopicFilter(ChoiceFilter):
    """By the topic of an event; the rare ones are in one choice, which has an index."""

    title, parameter_name = "Topic", "topic"
    choices_given = [
        ("PORTFOLIO_ORDER", "Portfolio order"),
        ("ORDER", "Order"),
        ("EXECUTION", "Execution"),
        ("OTHER", "Any other"),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the events of the topic chosen."""
        match self.chosen():
            case "":
                return queryset
            case "OTHER":
                return queryset.filter(RARE_TOPIC)
            case "EXECUTION":
                return queryset.filter(OTHER_TOPIC, type__startswith="EXECUTION.")
            case topic:
                return queryset.filter(source=Source.WEBHOOK, type__startswith=f"{topic}.")


class SourceFilter(TypeFilter):
    """By where we learned it."""

    title = "Source"
    parameter_name = column = "source"
    choices_given = Source.choices


def span_of(text: str) -> tuple[datetime, datetime] | None:
    """Return the first moment of a span and the one behind it; None where the text is no span."""
    begins, slash, ends = text.partition("/")
    try:
        span = datetime.fromisoformat(begins), datetime.fromisoformat(ends if slash else "")
    except ValueError:
        return None
    if not all(it.tzinfo and 1900 < it.year < 9999 for it in span):
        return None
    return span if span[0] < span[1] else None


def span_text(begins: datetime, ends: datetime) -> str:
    """Return a span as the filters of moments read it."""
    return "/".join(f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}" for moment in (begins, ends))


def start_of(day: date) -> datetime:
    """Return midnight of a day in the display zone, right on days of 23 and 25 hours too."""
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1900 <= day.year < 9999 else None  # its neighbours exist in every zone, too
