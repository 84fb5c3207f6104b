"""Cells and lines of our CSV files. Pure. Source of every format: ux.md, section 7.

Rows give every text as it is: what a spreadsheet would take for a formula is made text here, for all
files alike. Only what ``number`` returns is a number.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Row = Sequence[str]
DELIMITERS = {"comma": ",", "semicolon": ";"}
DECIMALS = {"point": ".", "comma": ","}
CHUNK = 2**16  # characters: large enough to cost little, small enough to come at once
MILLISECOND = timedelta(milliseconds=1)

# A spreadsheet told another delimiter than the file's splits a cell here, quoted or not.
SEPARATORS = ",;|\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029"
# With the full-width and small forms, which some take for the plain ones.
SIGNS = "=+\\-@＝＋－＠﹦﹢﹣﹫"  # noqa: RUF001 -- these very signs
# What a spreadsheet may pass over before a formula: quotes, blanks, what cannot be seen.
PASSED = (
    r"\"\s\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891"
    r"\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0001-\U000e007f"
)
_BEFORE = rf"(?:(?![{SEPARATORS}])[{PASSED}])*[{SIGNS}]"
FORMULA = re.compile(rf"\A(?=[\t\r\n])|(?:\A|(?<=[{SEPARATORS}]))(?={_BEFORE})")
MAYBE = re.compile(rf"[{SEPARATORS}](?=[\t\r\n]|{_BEFORE})")  # the same for a whole row, fast
QUOTED = {
    name: re.compile(rf"[\"{SEPARATORS.replace(',', '')}{sign}]")
    for name, sign in DELIMITERS.items()
}
NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


class Number(str):
    """A cell that is a number: never made text, and written with the decimal sign that was asked for."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is written: ``delimiter`` comma or semicolon, ``decimal`` point or comma, ``bom`` for Excel."""

    delimiter: str = "comma"
    decimal: str = "point"
    bom: bool = False

    @property
    def words(self) -> str:
        """Return it for people: "semicolon-separated, decimal comma"."""
        return f"{self.delimiter}-separated, decimal {self.decimal}"


def number(value: str) -> str:
    """Return an amount, a count or a duration as a number; any other text stays text."""
    return Number(value) if NUMBER.fullmatch(value) else value


def moment(value: datetime | None) -> str:
    """Return ISO 8601 in UTC with milliseconds and Z; "" where unknown."""
    if value is None:
        return ""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def milliseconds(value: timedelta | None) -> str:
    """Return whole milliseconds; "" where unknown."""
    return "" if value is None else Number(value // MILLISECOND)


def seconds(value: timedelta | None) -> str:
    """Return seconds with three decimals; "" where unknown."""
    if value is None:
        return ""
    whole, rest = divmod(max(value, timedelta()) // MILLISECOND, 1000)
    return Number(f"{whole}.{rest:03}")


def boolean(value: bool) -> str:  # noqa: FBT001 -- it is the value itself
    """Return true or false."""
    return "true" if value else "false"


def optional(value: object) -> str:
    """Return an id or date as text; "" where unknown."""
    return "" if value is None else str(value)


def free_text(value: str) -> str:
    """Return text so that no spreadsheet takes it, or a part of it, for a formula.

    A ``'`` goes before a leading tab or line break (OWASP), and wherever a cell begins, or would begin
    if it were split at a separator, with ``=``, ``+``, ``-`` or ``@``, blanks and invisible signs aside.
    """
    return FORMULA.sub("'", value)


def encode(
    rows: Iterable[Row], *, bom: bool, delimiter: str = "comma", decimal: str = "point"
) -> Iterator[bytes]:
    """Yield a file as RFC 4180 CSV in UTF-8, in chunks; the header, which is the first row, at once.

    A cell with a semicolon, a tab, a quote or a line break is quoted whatever the delimiter is.
    """
    lines = ["\ufeff"] if bom else []
    form = Form(delimiter, decimal, bom)
    size, limit = 0, 0
    for row in rows:
        lines.append(f"{line_of(row, form)}\r\n")
        size += len(lines[-1])
        if size > limit:
            yield "".join(lines).encode()
            lines.clear()
            size, limit = 0, CHUNK
    if lines:
        yield "".join(lines).encode()


def line_of(row: Row, form: Form) -> str:
    """Return the line of a row, without its end."""
    whole = f",{','.join(row)}"
    if MAYBE.search(whole):  # rarely: all cells of most rows are harmless
        row = [cell if type(cell) is Number else free_text(cell) for cell in row]
    if form.decimal == "comma":
        row = [cell.replace(".", ",") if type(cell) is Number else cell for cell in row]
    special = QUOTED[form.delimiter]
    if special.search("".join(row)) or list(row) == [""]:  # an empty line would be no row
        is_alone = len(row) == 1
        row = [
            _quoted(cell) if special.search(cell) or (is_alone and not cell) else cell
            for cell in row
        ]
    return DELIMITERS[form.delimiter].join(row)


def _quoted(cell: str) -> str:
    escaped = cell.replace('"', '""')
    return f'"{escaped}"'
