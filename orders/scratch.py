"""The temporary file of a rebuild: what is told of one object and counts for another, and what was damaged."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from orders import from_orders
from orders.facts import Reading
from orders.fold import Listing
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, PortfolioOrder


@dataclass(frozen=True, slots=True)
class Damage:
    """A journal entry that cannot be read; ``about`` is the object that it may have told of."""

    entry_id: int
    about: str
    reason: str

    def __str__(self) -> str:
        return f"journal entry {self.entry_id} about {self.about} cannot be read: {self.reason}"


class Scratch:
    """A temporary file: the lines of all lists, sorted by order, and the ids that the journal speaks of.

    Also the portfolio orders of which something follows from their orders, for they are folded before those.
    """

    def __enter__(self) -> Self:
        self._file = tempfile.NamedTemporaryFile(prefix="order-desk-rebuild-")
        self._db = sqlite3.connect(self._file.name)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(
            "CREATE TABLE listing (order_id, portfolio_order_id, status, side, fact, "
            "PRIMARY KEY (order_id, portfolio_order_id, status, side)) WITHOUT ROWID"
        )
        self._db.execute(
            "CREATE TABLE taker (portfolio_order_id PRIMARY KEY, status, unreadable, filled_at) "
            "WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE given (portfolio_order_id, status, problems, filled_at)")
        self._db.execute("CREATE INDEX of_taker ON given (portfolio_order_id)")
        for table in ("seen", "spoilt"):
            self._db.execute(f"CREATE TABLE {table} (id PRIMARY KEY) WITHOUT ROWID")
        self._damages: list[Damage] = []
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        self._file.close()

    def keep(self, listings: Iterable[Listing]) -> None:
        """Keep the lines of a list: of lines that say the same the one that counts most."""
        rows = (
            (it.order_id.hex, it.portfolio_order_id.hex, it.status, it.side, it.fact)
            for it in listings
        )
        self._db.executemany(
            "INSERT INTO listing VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET fact = excluded.fact WHERE excluded.fact > fact",
            rows,
        )

    def listed(self) -> Iterator[tuple[UUID, Reading]]:
        """Yield the lines kept, by order."""
        for order, parent, status, side, fact in self._db.execute(
            "SELECT * FROM listing ORDER BY order_id"
        ):
            listing = Listing(UUID(order), UUID(parent), status, side, fact)
            yield listing.order_id, Reading(listings=(listing,))

    def see(self, rows: Iterable[Any]) -> None:
        """Remember that the journal speaks of ``rows``."""
        self._db.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?)", ((identity(row),) for row in rows)
        )

    def has_seen(self, row: Any) -> bool:
        """Return whether the journal speaks of ``row``."""
        return self._has("seen", identity(row))

    def spoil(self, entry: JournalEntry, column: str, reason: str) -> None:
        """Note an entry that cannot be read."""
        pk = getattr(entry, column)
        kind = column.removesuffix("_id").replace("_", " ")
        self._damages.append(Damage(entry.pk, f"{kind} {pk}", reason))
        self._db.execute("INSERT OR IGNORE INTO spoilt VALUES (?)", (f"{column} {pk}",))

    def damages(self) -> Iterator[Damage]:
        """Yield the entries noted since the last time."""
        found, self._damages = self._damages, []
        yield from found

    def is_spoilt(self, row: Any) -> bool:
        """Return whether an entry that cannot be read may have told of ``row``."""
        if row.kind is Kind.PORTFOLIO_ORDER:
            return self._has("spoilt", f"portfolio_order_id {row.pk}")
        if row.kind is Kind.EXECUTION:
            return self._has("spoilt", f"order_id {row.order_id}")
        parents = {row.portfolio_order_id, row.listed_in} - {None}
        return self._has("spoilt", f"order_id {row.pk}") or any(
            self._has("spoilt", f"portfolio_order_id {parent}") for parent in parents
        )

    def await_orders(self, row: PortfolioOrder) -> None:
        """Note a portfolio order that will take something from its orders."""
        self._db.execute(
            "INSERT INTO taker VALUES (?, ?, ?, ?)",
            (row.pk.hex, row.status, row.unreadable, _text(row.filled_at)),
        )

    def give(self, order: Order) -> None:
        """Note what a portfolio order takes from an order, where it does."""
        parent = order.portfolio_order_id.hex if order.portfolio_order_id else ""
        self._db.execute(
            "INSERT INTO given SELECT portfolio_order_id, ?, ?, ? FROM taker "
            "WHERE portfolio_order_id = ?",
            (order.status, order.problems, _text(order.filled_at), parent),
        )

    def doubt_parents(self, *rows: Any) -> None:
        """Forget the portfolio orders of orders that an entry that cannot be read may have told of."""
        for row in rows:
            if row.kind is Kind.ORDER and row.portfolio_order_id:
                self._db.execute(
                    "DELETE FROM taker WHERE portfolio_order_id = ?", (row.portfolio_order_id.hex,)
                )

    def takers(self) -> Iterator[PortfolioOrder]:
        """Yield the portfolio orders noted, with what they take from their orders, and nothing else."""
        for pk, status, unreadable, filled_at in self._db.execute("SELECT * FROM taker"):
            given = self._db.execute(
                "SELECT status, problems, filled_at FROM given WHERE portfolio_order_id = ?", (pk,)
            )
            orders = [
                Order(status=word, problems=bits, filled_at=_moment(at)) for word, bits, at in given
            ]
            row = PortfolioOrder(
                pk=UUID(pk), status=status, unreadable=unreadable, filled_at=_moment(filled_at)
            )
            from_orders.take(row, orders)
            yield row

    def _has(self, table: str, key: str) -> bool:
        query = f"SELECT 1 FROM {table} WHERE id = ?"  # noqa: S608 -- a name of our own
        return self._db.execute(query, (key,)).fetchone() is not None


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def identity(row: Any) -> str:
    """Return what a row is known by: an execution is one of its order."""
    if row.kind is Kind.EXECUTION:
        return f"{table_of(row)} {row.order_id} {row.upstream_id}"
    return f"{table_of(row)} {row.pk}"


def table_of(row: Any) -> str:
    """Return what rows of its kind are called."""
    return str(row.kind.lower().replace("_", " "))
