"""Find rows by what was pasted: any id that a page shows, whole or its beginning, a number, an ISIN, a reference.

What it may be is decided first (``orders.pasted``), so that each question is answered from an
index; there is no search for parts of words. Several questions are joined as a UNION of ids: with
OR the database would read the whole table.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Q, QuerySet

from orders.models import (
    REQUEST_ID,
    VENUE,
    Cancellation,
    Execution,
    JournalEntry,
    Order,
    Placement,
    PortfolioOrder,
    Reconciliation,
)
from orders.pasted import SHORTEST, Pasted, read
from orders.reconciliation.models import REQUEST_ID as ENDED_BY
from orders.timeline.seen import CANCELLATION
from orders.tracked import Source

AT_ONE_VENUE = 30_000  # executions: a limit, for most of the table may be of one exchange
ONE_EVENT = 100  # entries: a limit, so that the database expects few and reads no table for them
NUMBERED = {
    "journalentry": JournalEntry,
    "reconciliation": Reconciliation,
    "cancellation": Cancellation,
}
Questions = Iterator[QuerySet]  # each of one column: the keys of rows


def portfolio_orders(rows: QuerySet[PortfolioOrder], text: str) -> QuerySet[PortfolioOrder]:
    """Return those of ``rows`` that have what was pasted, or whose orders, executions or events have it."""

    def few(pasted: Pasted) -> Questions:
        yield from named(PortfolioOrder, pasted, "pk", "account_id")
        yield from _parents(pasted)
        yield from named(Order, pasted, "pk", key="portfolio_order_id")
        yield from _references_of_orders(pasted, "portfolio_order_id")
        yield from _traded(pasted, "order__portfolio_order_id")
        yield from _at_venue(pasted, "portfolio_order_id")
        for entries in _entries(pasted):
            yield entries.values_list("portfolio_order_id")
            orders = entries.filter(order_id__isnull=False).values("order_id")[:ONE_EVENT]
            yield Order.objects.filter(pk__in=orders).values_list("portfolio_order_id")

    return found(rows, text, few, isins=("pk", "portfolio_order_id"))


def orders(rows: QuerySet[Order], text: str) -> QuerySet[Order]:
    """Return those of ``rows`` that have what was pasted, or whose portfolio order, executions or events have it."""

    def few(pasted: Pasted) -> Questions:
        yield from named(Order, pasted, "pk", "account_id")
        yield from named(Order, pasted, "portfolio_order_id")
        for parents in _parents(pasted):
            yield Order.objects.filter(portfolio_order_id__in=parents).values_list("pk")
        yield from _references_of_orders(pasted, "pk")
        yield from _traded(pasted, "order_id")
        yield from _at_venue(pasted, "pk")
        yield from (entries.values_list("order_id") for entries in _entries(pasted))

    return found(rows, text, few, isins=("pk", "pk"))


def entries(rows: QuerySet[JournalEntry], text: str) -> QuerySet[JournalEntry]:
    """Return those of ``rows`` that are the event or the entry pasted, repeat it, or are about what was pasted."""

    def few(pasted: Pasted) -> Questions:
        yield from numbered(JournalEntry, pasted)
        columns = ("event_id", "repeat_of", "portfolio_order_id", "order_id", "placement_id")
        yield from named(JournalEntry, pasted, *columns)
        yield from (it.values_list("pk") for it in _requests(pasted))
        for parents in _parents(pasted):
            about = JournalEntry.objects.filter(portfolio_order_id__in=parents)
            yield about.values_list("pk")
        for of in (*_references_of_orders(pasted, "pk"), *_traded(pasted, "order_id")):
            yield JournalEntry.objects.filter(order_id__in=of).values_list("pk")

    return found(rows, text, few, isins=("order_id", "pk"))


def placements(rows: QuerySet[Placement], text: str) -> QuerySet[Placement]:
    """Return those of ``rows`` that have, or whose account, user, portfolio order or requests have what was pasted."""

    def few(pasted: Pasted) -> Questions:
        yield from named(Placement, pasted, "pk", "account_id", "user_id", "portfolio_order_id")
        for parents in _parents(pasted):
            made = Placement.objects.filter(portfolio_order_id__in=parents)
            yield made.values_list("pk")
        yield from (it.values_list("placement_id") for it in _requests(pasted))

    return found(rows, text, few)


def cancellations(rows: QuerySet[Cancellation], text: str) -> QuerySet[Cancellation]:
    """Return those of ``rows`` that have the number pasted, or whose order or request has what was pasted."""

    def few(pasted: Pasted) -> Questions:
        yield from numbered(Cancellation, pasted)
        yield from named(Cancellation, pasted, "portfolio_order_id", "order_id")
        for parents in _parents(pasted):
            asked = Cancellation.objects.filter(portfolio_order_id__in=parents)
            yield asked.values_list("pk")
        for of in (*_references_of_orders(pasted, "pk"), *_traded(pasted, "order_id")):
            yield Cancellation.objects.filter(order_id__in=of).values_list("pk")
        for steps in _requests(pasted):
            for column in ("portfolio_order_id", "order_id"):
                about = steps.filter(type=CANCELLATION, **{f"{column}__isnull": False})
                asked = Cancellation.objects.filter(**{f"{column}__in": about.values(column)})
                yield asked.values_list("pk")

    return found(rows, text, few)


def reconciliations(rows: QuerySet[Reconciliation], text: str) -> QuerySet[Reconciliation]:
    """Return those of ``rows`` that have the number pasted, or are of the account, or ended by the request pasted."""

    def few(pasted: Pasted) -> Questions:
        yield from numbered(Reconciliation, pasted)
        yield from named(Reconciliation, pasted, "account_id")
        if wanted := _beginning("request_id", starts_of(pasted)):
            ended = Reconciliation.objects.alias(request_id=ENDED_BY).filter(wanted)
            yield ended.filter(reason__contains="request ").values_list("pk")

    return found(rows, text, few)


def by_own_id(rows: QuerySet, text: str) -> QuerySet:
    """Return those of ``rows`` whose own id was pasted."""
    return found(rows, text, lambda pasted: named(rows.model, pasted, "pk"))


def identified(pasted: Pasted) -> Iterator[tuple[str, QuerySet]]:
    """Yield the keys of what has the id, the number or the reference pasted, with the name of its page."""
    for name, questions in [
        ("orders_portfolioorder", named(PortfolioOrder, pasted, "pk")),
        ("orders_order", named(Order, pasted, "pk")),
        ("orders_order", _traded(pasted, "order_id")),
        ("orders_journalentry", named(JournalEntry, pasted, "event_id")),
        ("orders_placement", named(Placement, pasted, "pk")),
        ("orders_portfolioorder", _parents(pasted)),
        ("orders_order", _references_of_orders(pasted, "pk")),
        ("orders_journalentry", (it.values_list("pk") for it in _requests(pasted))),
        *((f"orders_{name}", numbered(model, pasted)) for name, model in NUMBERED.items()),
    ]:
        yield from ((name, keys) for keys in questions)


def found(rows: QuerySet, text: str, few: Any, *, isins: tuple[str, str] | None = None) -> QuerySet:
    """Return the rows that answer at least one question; all of them if nothing was pasted.

    ``isins``: the column by which those of an instrument are found, and that of the orders which it
    is equal to. These may be a large part of the table: alone they are joined, not collected.
    """
    pasted = read(text)
    if not pasted.terms:
        return rows
    keys = _union(few(pasted))
    if not (isins and pasted.isins):
        return rows.filter(pk__any_of=keys) if keys is not None else rows.none()
    holding = Order.objects.filter(instrument_id__in=pasted.isins).order_by()
    own, of_order = isins
    is_of_orders = rows.model is Order  # the index has them in the list's own order
    traded = Q((f"{own}__in", holding.values(of_order)))
    traded = Q(instrument_id__in=pasted.isins) if is_of_orders else traded
    if keys is None or not keys.exists():
        return rows.filter(traded)
    model: Any = rows.model
    return rows.filter(pk__in=keys.union(model.objects.filter(traded).order_by().values_list("pk")))


def _union(questions: Iterable[QuerySet]) -> QuerySet | None:
    all_ = [question.order_by() for question in questions]
    if len(all_) < 2:
        return all_[0] if all_ else None
    return all_[0].union(*all_[1:])


def named(model: Any, pasted: Pasted, *columns: str, key: str = "pk") -> Questions:
    """Yield what finds the rows with one of the ids pasted in a column: a question for each column."""
    yield from (rows.values_list(key) for rows in _matching(model, pasted, *columns))


def _matching(model: Any, pasted: Pasted, *columns: str) -> Questions:
    for column in columns:
        wanted = Q((f"{column}__in", pasted.ids)) if pasted.ids else Q()
        for first, last in pasted.ranges:
            wanted |= Q((f"{column}__gte", first), (f"{column}__lte", last))
        if wanted:
            yield model.objects.filter(wanted).order_by()


def numbered(model: Any, pasted: Pasted) -> Questions:
    """Yield what finds the rows with one of the numbers pasted."""
    if numbers := pasted.numbers(model._meta.model_name):  # noqa: SLF001 -- Django's public name
        yield model.objects.filter(pk__in=numbers).values_list("pk")


def _parents(pasted: Pasted) -> Questions:
    """Yield what finds the portfolio orders by their references and allocations."""
    if wanted := _beginning("client_reference", pasted.references):
        # The index leaves out rows without one; saying so here lets it serve.
        given = PortfolioOrder.objects.exclude(client_reference="")
        yield given.filter(wanted).order_by().values_list("pk")
    yield from named(PortfolioOrder, pasted, "allocation_id")


def _references_of_orders(pasted: Pasted, key: str) -> Questions:
    """Yield what finds orders by a reference of their own, or by an instrument whose id is no ISIN."""
    if wanted := _beginning("client_reference", pasted.references):
        own = Order.objects.exclude(client_reference="").exclude(initiation_flow="PORTFOLIO")
        yield own.filter(wanted).order_by().values_list(key)
    texts = [text for text in pasted.references if text not in pasted.isins]
    if texts:
        yield Order.objects.filter(instrument_id__in=texts).order_by().values_list(key)


def _traded(pasted: Pasted, key: str) -> Questions:
    """Yield what finds orders by their executions."""
    yield from named(Execution, pasted, "pk", "execution_id", key=key)


def _entries(pasted: Pasted) -> Questions:
    """Yield what finds the entries that have an id of their own: of an event, or of a request to the broker."""
    yield from _matching(JournalEntry, pasted, "event_id", "repeat_of")
    yield from _requests(pasted)


def _requests(pasted: Pasted) -> Questions:
    """Yield what finds the entries by the broker's id of a request, which their message has."""
    if wanted := _beginning("request_id", starts_of(pasted)):
        asked = JournalEntry.objects.exclude(source=Source.WEBHOOK)
        asked = asked.alias(request_id=REQUEST_ID).filter(wanted, message__contains="request ")
        yield asked.order_by()


def _at_venue(pasted: Pasted, key: str) -> Questions:
    """Yield what finds orders by the venue of their executions, whole or its beginning: the first thousands."""
    whole = dict.fromkeys([*map(str, pasted.ids), *pasted.references])
    wanted = _beginning("venue", [it.start for it in pasted.terms if it.start])
    wanted |= Q(venue__in=list(whole)) if whole else Q()
    if wanted:
        trades = Execution.objects.alias(venue=VENUE).filter(wanted).order_by()
        at_it = Order.objects.filter(pk__in=trades.values("order_id")[:AT_ONE_VENUE])
        yield at_it.values_list(key)


def starts_of(pasted: Pasted) -> list[str]:
    """Return the beginnings of what was pasted, as ids that are kept as texts may be written."""
    ids = [str(it) for it in pasted.ids]
    starts = [it.start for it in pasted.terms if it.start]
    texts = [text for text in pasted.references if len(text) >= SHORTEST]
    return list(dict.fromkeys([*ids, *starts, *texts]))


def _beginning(column: str, texts: Iterable[str]) -> Q:
    wanted = Q()
    for text in dict.fromkeys(texts):
        wanted |= Q((f"{column}__begins", text))
    return wanted
