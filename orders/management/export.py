"""What the two commands that write CSV files share: which orders, where to, and what is said about it."""

import os
import sys
from abc import abstractmethod
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.core.management.base import CommandError

from backoffice.management import dates
from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders.export.cells import DELIMITERS
from orders.export.files import Export
from orders.export.selection import Selection
from orders.models import PortfolioOrder

WHICH = (
    "Without options: everything, also orders whose portfolio order is not known. --since and "
    "--until count by when the portfolio order was created, and bring the whole of it."
)


class ExportCommand(MigratedCommand):
    """Write a CSV file to standard output, or to a file that appears only when it is whole."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say which orders, where to, and in which form."""
        parser.add_argument(
            "--portfolio-order",
            action="append",
            default=[],
            type=_portfolio_order_id,
            metavar="ID",
            help="only this portfolio order with its orders; may be given several times",
        )
        parser.add_argument(
            "--since", type=dates.moment, metavar="DATE", help=f"from then on: {dates.FORMS}"
        )
        parser.add_argument("--until", type=dates.moment, metavar="DATE", help="before then")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="instead of standard output"
        )
        parser.add_argument("--delimiter", choices=list(DELIMITERS), default="comma")
        parser.add_argument("--bom", action="store_true", help="so that Excel reads it as UTF-8")

    def handle(self, *, output: Path | None, delimiter: str, bom: bool, **options: Any) -> None:
        """Write the file, then note in the journal who took it."""
        export = self.export(_selection(**options), **options)
        chunks = self._with_progress(export, export.chunks(bom=bom, delimiter=delimiter))
        try:
            if output:
                write_whole(output, chunks)
            else:
                self._write_out(chunks)
        except BrokenPipeError:
            # Python would complain once more when it flushes standard output at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise CommandError(f"The reader went away after {export.count:,} rows.") from None
        except OSError as error:
            raise CommandError(f"The file could not be written: {error}") from error
        finally:
            export.close()
        export.record(actor=who(), how=f"{_which(**options)} to {output or 'standard output'}")
        if output:
            self.stdout.write(f"{export.count:,} rows in {output}.")

    @abstractmethod
    def export(self, selection: Selection, **options: Any) -> Export:
        """Return the file to write."""

    def _write_out(self, chunks: Iterator[bytes]) -> None:
        out: BinaryIO | None = getattr(self.stdout, "buffer", None)
        for chunk in chunks:
            if out:
                out.write(chunk)
            else:  # a text stream without bytes below, as call_command may be given
                self.stdout.write(chunk.decode(), ending="")
        self.stdout.flush()

    def _with_progress(self, export: Export, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Say on a terminal how far it is."""
        if not sys.stderr.isatty():
            yield from chunks
            return
        for chunk in chunks:
            yield chunk
            self.stderr.write(f"\r\033[K{export.count:,} rows ...", ending="")
            self.stderr.flush()
        self.stderr.write("\r\033[K", ending="")


def write_whole(output: Path, chunks: Iterator[bytes]) -> None:
    """Write under another name first: a file that broke off must never look whole."""
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _selection(
    *, portfolio_order: list[UUID], since: datetime | None, until: datetime | None, **_: Any
) -> Selection:
    if not portfolio_order:
        return Selection.everything(since=since, until=until)
    if since or until:
        raise CommandError(
            "--portfolio-order names what to export: --since and --until say nothing more."
        )
    found = PortfolioOrder.objects.filter(pk__in=portfolio_order)
    unknown = set(portfolio_order) - set(found.values_list("pk", flat=True))
    if unknown:
        raise CommandError(f"Not known here: {', '.join(sorted(map(str, unknown)))}")
    return Selection.of(found)


def _which(
    *, portfolio_order: list[UUID], since: datetime | None, until: datetime | None, **_: Any
) -> str:
    """Return what was asked for, as part of a sentence."""
    if portfolio_order:
        return ", ".join(f"portfolio order {pk}" for pk in portfolio_order)
    words = [f"since {since.isoformat()}"] if since else []
    words += [f"until {until.isoformat()}"] if until else []
    return " ".join(words) or "all"


def _portfolio_order_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not the id of a portfolio order") from None
