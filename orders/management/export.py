"""What the commands that write CSV files share: which orders, where to, and what is said about it."""

import errno
import os
import sys
from abc import abstractmethod
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.core.management.base import CommandError

from backoffice.log import one_line
from backoffice.management import dates
from backoffice.management.migrated import MigratedCommand
from backoffice.management.person import who
from orders.audit.subjects import Subject
from orders.export.cells import DECIMALS, DELIMITERS
from orders.export.selection import Selection
from orders.export.table import Export
from orders.management.ids import id_of
from orders.models import PortfolioOrder

WHICH = (
    "Without options: everything, also orders whose portfolio order is not known. --since and "
    "--until count by when the portfolio order was created, and include all of it."
)


class ExportCommand(MigratedCommand):
    """Write a CSV file to standard output, or to a file that appears only when it is whole."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say which orders, where to, and in which form."""
        parser.add_argument(
            "--portfolio-order",
            action="append",
            default=[],
            type=id_of("a portfolio order"),
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
        parser.add_argument(
            "--decimal",
            choices=list(DECIMALS),
            default="point",
            help="the sign in numbers; a German Excel needs `--delimiter semicolon --decimal comma`",
        )
        parser.add_argument("--bom", action="store_true", help="so that Excel reads it as UTF-8")

    def handle(self, *, output: Path | None, **options: Any) -> None:
        """Write the file, then note in the journal who took it."""
        export = self.export(_selection(**options), **options)
        if len(named := options["portfolio_order"]) == 1:
            export.subject = Subject("portfolio_order", str(named[0]))
        form = {name: options[name] for name in ("bom", "delimiter", "decimal")}
        chunks = self._with_progress(export, export.chunks(**form))
        to = shown(output) or "standard output"
        taken: dict[str, Any] = {
            "actor": who(),
            "how": f"{_which(**options)} to {to}",
            "asked": {**_asked(**options), "to": to},
        }
        try:
            if output:
                write_whole(output, chunks)
            else:
                self._write_out(chunks)
        except BaseException as error:
            export.close()
            is_away = isinstance(error, BrokenPipeError)
            if export.count and not output:  # these rows are gone: a file would not have appeared
                why = "the output was closed" if is_away else type(error).__name__
                export.record(**taken, broken=why)
            if is_away:
                # Python would complain once more when it flushes standard output at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise CommandError(f"The output was closed after {export.rows_in_words}.") from None
            if isinstance(error, OSError):
                raise CommandError(f"The file could not be written: {error}") from error
            raise
        export.close()
        export.record(**taken)
        if output:
            self.stdout.write(f"{export.rows_in_words} in {shown(output)}.")

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


def shown(output: Path | None) -> str:
    """Return the name of a file as it can be printed and stored; names may hold any byte."""
    return one_line(str(output), 1_000) if output else ""


def write_whole(output: Path, chunks: Iterator[bytes]) -> None:
    """Write under another name first: a file that broke off must never look whole.

    Only a file is replaced: in the place of a device, a pipe or a folder a file would do harm. A
    link stays, and leads to the new file.
    """
    if output.exists() and not output.is_file():
        raise FileExistsError(errno.EEXIST, "What is there is no file", str(output))
    output = output.resolve()
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


def _asked(
    *, portfolio_order: list[UUID], since: datetime | None, until: datetime | None, **_: Any
) -> dict[str, Any]:
    """Return what was asked for, so that it can be asked for again."""
    return {
        "portfolio_order_ids": [str(pk) for pk in portfolio_order],
        "since": since.isoformat() if since else "",
        "until": until.isoformat() if until else "",
    }
