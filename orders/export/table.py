"""One CSV file on its way out, of whatever rows: read it to its end, then record who took it.

To give any list a file: ``of_rows("staff steps", COLUMNS, rows)``, where ``rows`` is a function that
yields texts (``cells.moment``, ``cells.number`` and the like make them), and
``orders.admin.downloads.download`` to send it, or ``orders.management.export`` to write it.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from backoffice.database import limits, snapshot
from orders import journal
from orders.audit.subjects import Subject
from orders.export.cells import Form, Row, encode

VERSION = "v1"  # of the columns: they are only added to, at the end


@dataclass
class Export:
    """One CSV file: read ``chunks`` to the end, then ``record`` it.

    ``rows`` begin with the header, which stays as ``columns``; ``count`` is the number of rows that
    went out, the header aside.
    """

    what: str  # "order history", "orders"
    rows: Generator[Row]
    now: datetime = field(default_factory=timezone.now)
    count: int = 0
    form: Form = field(default_factory=Form)
    columns: Row = ()
    subject: Subject | None = None  # the one row that the file is about

    @property
    def filename(self) -> str:
        """Return the name of the file, with the version of its columns: ``orders_v1_20261122T0645Z.csv``."""
        return (
            f"{self.what.replace(' ', '-')}_{VERSION}_{self.now.astimezone(UTC):%Y%m%dT%H%MZ}.csv"
        )

    @property
    def rows_in_words(self) -> str:
        """Return how many rows went out: "1 row", "1,234 rows"."""
        return "1 row" if self.count == 1 else f"{self.count:,} rows"

    def chunks(
        self, *, bom: bool, delimiter: str = "comma", decimal: str = "point"
    ) -> Iterator[bytes]:
        """Yield the file; raise what goes wrong, so that the caller can break the connection."""
        self.form = Form(delimiter, decimal, bom)
        return encode(self._counted(), bom=bom, delimiter=delimiter, decimal=decimal)

    def close(self) -> None:
        """End the snapshot of a file that is not read to its end: nothing can be written inside it."""
        self.rows.close()

    def record(
        self, *, actor: str, how: str, asked: Mapping[str, Any] | None = None, broken: str = ""
    ) -> None:
        """Note in the journal who took what.

        ``how`` says in words which rows and where to, ``asked`` the same so that the selection can be
        made again: filters, search, ids. With the columns and the form of the file it is kept in the
        entry, whose page shows it. ``broken`` is why the file broke off.
        """
        said = (
            f"Export of {self.what}, {how}: broken off after {self.rows_in_words} ({broken})"
            if broken
            else f"Exported {self.what}, {how}: {self.rows_in_words}"
        )
        held = {
            "file": self.what,
            "version": VERSION,
            "made_at": self.now.astimezone(UTC).isoformat(),
            "selection": {"words": how, **(asked or {})},
            "columns": list(self.columns),
            "delimiter": self.form.delimiter,
            "decimal": self.form.decimal,
            "byte_order_mark": self.form.bom,
            "rows": self.count,
            "is_whole": not broken,
        }
        journal.record_step(
            said, actor=actor, now=timezone.now(), type_="EXPORT", held=held, subject=self.subject
        )

    def _counted(self) -> Iterator[Row]:
        for number, row in enumerate(self.rows):
            if not number:
                self.columns = row
            self.count = number
            yield row


def of_rows(what: str, columns: Row, rows: Callable[[], Iterable[Row]]) -> Export:
    """Return the file of these rows under these columns; ``what`` names it: "staff steps".

    ``rows`` is called when the file is read, within one snapshot of the database and the limits of
    exports. It should read in batches (``in_batches``), so that memory stays flat.
    """

    def read() -> Generator[Row]:
        yield columns
        with limits("export"), snapshot():
            yield from rows()

    return Export(what, read())


def in_batches(rows: QuerySet[Any], size: int) -> Iterator[list[Any]]:
    """Yield rows by id, each batch starting after the last: no cursor is held, nothing is counted."""
    rows, last = rows.order_by("pk"), None
    while batch := list((rows if last is None else rows.filter(pk__gt=last))[:size]):
        yield batch
        last = batch[-1].pk
