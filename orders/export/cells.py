"""Cells and lines of our CSV files. Pure. Source of every format: ux.md, section 7."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

Row = Sequence[str]
DELIMITERS = {"comma": ",", "semicolon": ";"}
CHUNK = 2**16  # characters: large enough to cost little, small enough to come at once
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
MILLISECOND = timedelta(milliseconds=1)


def moment(value: datetime | None) -> str:
    """Return ISO 8601 in UTC with milliseconds and Z; "" where unknown."""
    if value is None:
        return ""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def milliseconds(value: timedelta | None) -> str:
    """Return whole milliseconds; "" where unknown."""
    return "" if value is None else str(value // MILLISECOND)


def seconds(value: timedelta | None) -> str:
    """Return seconds with three decimals; "" where unknown."""
    if value is None:
        return ""
    whole, rest = divmod(max(value, timedelta()) // MILLISECOND, 1000)
    return f"{whole}.{rest:03}"


def boolean(value: bool) -> str:  # noqa: FBT001 -- it is the value itself
    """Return true or false."""
    return "true" if value else "false"


def optional(value: object) -> str:
    """Return an id or date as text; "" where unknown."""
    return "" if value is None else str(value)


def free_text(value: str) -> str:
    """Return what people or clients wrote so that no spreadsheet takes it for a formula (OWASP)."""
    return f"'{value}" if value.startswith(FORMULA) else value


class _Lines(list[str]):
    """What csv writes to."""

    write = list.append


def encode(rows: Iterable[Row], *, bom: bool, delimiter: str = "comma") -> Iterator[bytes]:
    """Yield a file as RFC 4180 CSV in UTF-8, in chunks; the header, which is the first row, at once.

    ``delimiter`` is comma or semicolon (for a German Excel); ``bom`` makes Excel read UTF-8.
    """
    lines = _Lines(["\ufeff"] if bom else [])
    writer = csv.writer(lines, delimiter=DELIMITERS[delimiter], lineterminator="\r\n")
    size, limit = 0, 0
    for row in rows:
        writer.writerow(row)
        size += len(lines[-1])
        if size > limit:
            yield "".join(lines).encode()
            lines.clear()
            size, limit = 0, CHUNK
    if lines:
        yield "".join(lines).encode()
