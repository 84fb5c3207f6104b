"""The temporary files of a rebuild: what one part is told of the objects of another.

Each process writes files of its own; in a later step all of them read the files of all.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from orders.fold import Listing
from orders.fold import told_filled_at as told
from orders.lifecycle import Kind

LISTINGS = """CREATE TABLE listing (order_id BLOB, portfolio_order_id BLOB, status, side, fact,
    PRIMARY KEY (order_id, portfolio_order_id, status, side)) WITHOUT ROWID"""
# What a portfolio order takes from its orders follows from these columns, and from no others.
CORRECTIONS = """
    CREATE TABLE portfolio_order (id BLOB PRIMARY KEY, status, unreadable, problems, filled_at) WITHOUT ROWID;
    CREATE TABLE "order" (id BLOB PRIMARY KEY, portfolio_order_id BLOB, status, problems, filled_at) WITHOUT ROWID;
    CREATE INDEX of_portfolio_order ON "order" (portfolio_order_id)"""
MANY = 500  # parameters of one question
NOTHING = ("", "", 0, None)  # takes nothing from any order
LAST = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Damage:
    """A journal entry that cannot be read; ``about`` is the object that it may have told of."""

    entry_id: int
    about: str
    reason: str

    def __str__(self) -> str:
        return f"journal entry {self.entry_id} about {self.about} cannot be read: {self.reason}"


@dataclass(slots=True)
class Corrected:
    """A row as the journal gives it, where the tables differ: what portfolio orders take of it or with it."""

    status: str
    problems: int
    filled_at: datetime | None
    unreadable: str = ""
    portfolio_order_id: UUID | None = None


class _File:
    """A file of its own database, closed with the object; "" is one that goes with it."""

    tables: ClassVar[str]

    def __init__(self, path: Path | str = "", *, is_new: bool = True) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        if is_new:
            self._db.executescript(self.tables)

    def __del__(self) -> None:
        self._db.close()


class Listings(_File):
    """The lines of lists that portfolio orders told, by order."""

    tables = LISTINGS

    def keep(self, listings: Iterable[Listing]) -> None:
        """Keep lines: of lines that say the same the one that counts most."""
        rows = [
            (it.order_id.bytes, it.portfolio_order_id.bytes, it.status, it.side, it.fact)
            for it in listings
        ]
        with _at_once(self._db):
            self._db.executemany(
                "INSERT INTO listing VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET fact = excluded.fact WHERE excluded.fact > fact",
                rows,
            )

    def between(self, after: UUID | None, upto: UUID | None) -> Iterator[Listing]:
        """Yield the lines kept of orders whose ids are above ``after`` up to ``upto``."""
        low = after.bytes if after else b""
        found = self._db.execute(
            "SELECT * FROM listing WHERE order_id > ? AND order_id <= ?",
            (low, (upto or LAST).bytes),
        )
        yield from map(_listing, found)

    def of(self, orders: Collection[UUID]) -> Iterator[Listing]:
        """Yield the lines kept of some orders."""
        for ids in _portions(orders):
            query = f"SELECT * FROM listing WHERE order_id IN ({_marks(ids)})"  # noqa: S608 -- marks
            yield from map(_listing, self._db.execute(query, ids))

    def order_after(self, after: UUID | None, count: int) -> UUID | None:
        """Return the order of the ``count``-th line after an order; None where there are fewer."""
        found = self._db.execute(
            "SELECT order_id FROM listing WHERE order_id > ? ORDER BY order_id LIMIT 1 OFFSET ?",
            (after.bytes if after else b"", count - 1),
        ).fetchone()
        return UUID(bytes=found[0]) if found else None


class Corrections(_File):
    """The rows that differ from the journal, as it gives them."""

    tables = CORRECTIONS

    def correct(self, kind: Kind, pk: UUID, row: Any) -> None:
        """Note a row that differs; ``row`` is None where there should be none."""
        if kind is Kind.PORTFOLIO_ORDER:
            said = (row.status, row.unreadable, row.problems, _text(told(row))) if row else NOTHING
            self._db.execute(
                "INSERT OR REPLACE INTO portfolio_order VALUES (?, ?, ?, ?, ?)", (pk.bytes, *said)
            )
            return
        parent = row.portfolio_order_id if row else None
        cells = (row.status, row.problems, _text(row.filled_at)) if row else ("", 0, None)
        self._db.execute(
            'INSERT OR REPLACE INTO "order" VALUES (?, ?, ?, ?, ?)',
            (pk.bytes, parent.bytes if parent else None, *cells),
        )

    def portfolio_orders(self, after: UUID | None, upto: UUID | None) -> dict[UUID, Corrected]:
        """Return those with ids above ``after`` up to ``upto``, with a fill time only where one was told."""
        found = self._db.execute(
            "SELECT id, status, unreadable, problems, filled_at FROM portfolio_order"
            " WHERE id > ? AND id <= ?",
            (after.bytes if after else b"", (upto or LAST).bytes),
        )
        return {
            UUID(bytes=pk): Corrected(status, problems, _moment(at), unreadable)
            for pk, status, unreadable, problems, at in found
        }

    def orders(self, ids: Collection[UUID], parents: Collection[UUID]) -> dict[UUID, Corrected]:
        """Return the orders with these ids, and those that belong to these portfolio orders."""
        found = {}
        for column, keys in (("id", ids), ("portfolio_order_id", parents)):
            for some in _portions(keys):
                query = f'SELECT * FROM "order" WHERE {column} IN ({_marks(some)})'  # noqa: S608 -- marks
                for pk, parent, status, problems, at in self._db.execute(query, some):
                    found[UUID(bytes=pk)] = Corrected(
                        status,
                        problems,
                        _moment(at),
                        portfolio_order_id=UUID(bytes=parent) if parent else None,
                    )
        return found


@contextmanager
def _at_once(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    yield
    db.execute("COMMIT")


def _portions(ids: Collection[UUID]) -> Iterator[list[bytes]]:
    keys = [pk.bytes for pk in ids]
    yield from (keys[start : start + MANY] for start in range(0, len(keys), MANY))


def _marks(keys: list[bytes]) -> str:
    return ", ".join("?" * len(keys))


def _listing(row: tuple[bytes, bytes, str, str, str]) -> Listing:
    order, parent, *said = row
    return Listing(UUID(bytes=order), UUID(bytes=parent), *said)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
