"""Several numbers from the database with one statement, for pages and metrics that need many."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import (
    DurationField,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    QuerySet,
    Subquery,
)
from django.db.models.expressions import Combinable
from django.db.models.sql import Query

from backoffice.moments import EARLIEST, LATEST


class Rows(Subquery):
    """The number of rows of a query; with ``most`` it stops counting there."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()

    def __init__(self, rows: QuerySet, most: int | None = None) -> None:
        super().__init__(rows.order_by().values("pk")[:most])


class Part(Subquery):
    """Rows as a part of a union; in parentheses of its own it may have a limit, on SQLite too."""

    template = "SELECT * FROM (%(subquery)s) part"


class DistinctRows(Func):
    """The number of different rows of several queries of one column; each may have a limit."""

    template = "(SELECT COUNT(*) FROM (%(expressions)s) counted)"
    arg_joiner = " UNION "
    output_field = IntegerField()

    def __init__(self, *queries: QuerySet) -> None:
        super().__init__(*(Part(query) for query in queries))


def first(rows: QuerySet, column: str) -> Subquery:
    """Return a column of the first row; None where there is no row."""
    return Subquery(rows.values(column)[:1])


class Quantile(Subquery):
    """The time from ``start`` to ``end`` within which ``percent`` of 100 rows were; None without rows.

    Of ``most`` rows: the first ones, in the order of the query, those with placeholders aside.
    """

    template = (
        "(SELECT took FROM (SELECT took, ROW_NUMBER() OVER (ORDER BY took) AS place,"
        " COUNT(*) OVER () AS total FROM (%(subquery)s) taken) placed"
        " WHERE place = (total * %(percent)s + 99) / 100)"  # rounded up
    )
    output_field = DurationField()

    def __init__(self, rows: QuerySet, start: str, end: str, percent: int, most: int) -> None:
        took = ExpressionWrapper(F(end) - F(start), output_field=DurationField())
        for name in (start, end):  # an infinite placeholder cannot even be subtracted
            rows = rows.filter(**{f"{name}__range": (EARLIEST, LATEST)})
        super().__init__(rows.annotate(took=took).values("took")[:most], percent=int(percent))


def ask(**questions: Combinable) -> dict[str, Any]:
    """Return the answers to all questions, by name, with one statement without a table of its own."""
    query = Query(None)
    for name, question in questions.items():
        query.add_annotation(question, name)
    (answers,) = query.get_compiler(DEFAULT_DB_ALIAS).results_iter()
    return dict(zip(questions, answers, strict=True))
