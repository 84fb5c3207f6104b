"""What a spreadsheet makes of our files, read by a rule of its own: split, dequote, look for formulas and numbers."""

import csv
import io
import sys
import unicodedata
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orders.export import cells

SIGNS = "=+-@＝＋－＠"  # noqa: RUF001 -- these very signs
SEPARATORS = [",", ";", "\t", "|"]
LINES = ["\n", "\r", "\r\n", "\u2028", "\x85"]
UNSEEN = ["", " ", "\u00a0", "\u200b", "\ufeff", "\u2060", "\u00ad", '"', " \u200d ", "\x00"]
NASTY = st.text(
    st.sampled_from([*"aü9 '.\u200b\ufeff\u00a0\x00|", *SIGNS, *'",;\t\r\n', "\u2028", "\x85"]),
    max_size=12,
)
ROWS = st.lists(st.lists(NASTY, min_size=2, max_size=4), min_size=1, max_size=4)


def made(rows, **form):
    return b"".join(cells.encode(rows, **{"bom": False, **form})).decode()


def is_formula(cell):
    """Whether a spreadsheet that is generous with blanks and unseen signs computes a cell."""
    for sign in cell:
        is_unseen = sign.isspace() or unicodedata.category(sign) in {"Cc", "Cf"} or sign == '"'
        if not is_unseen:
            return sign in SIGNS
    return False


def split_blindly(text):
    """Return the cells of a program that splits at every separator and knows no quotes."""
    for separator in [*SEPARATORS, *LINES]:
        text = text.replace(separator, "\x1f")
    return text.split("\x1f")


def as_a_spreadsheet_reads(text, delimiter):
    """Return rows of cells. The rule of Excel and LibreOffice: a cell that begins with a quote goes on to the
    next single one, two are one; a quote elsewhere is a letter; a line break outside of quotes ends the row."""
    rows, row, cell, at = [], [], "", 0
    while at < len(text):
        if not cell and text[at] == '"':
            at += 1
            while text[at : at + 1] != '"' or text[at : at + 2] == '""':
                cell += text[at]
                at += 2 if text[at] == '"' else 1
            at += 1
            while at < len(text) and text[at] not in f"{delimiter}\r\n":
                cell, at = cell + text[at], at + 1
        elif text[at] not in f"{delimiter}\r\n":
            cell, at = cell + text[at], at + 1
            continue
        row.append(cell)
        cell = ""
        if text[at : at + 2] == "\r\n":
            rows.append(row)
            row, at = [], at + 1
        elif text[at : at + 1] == delimiter and text[at + 1 : at + 3] in {"\r\n", ""}:
            row.append("")
            rows.append(row)
            row, at = [], at + 2
        at += 1
    return rows


def as_german_excel_reads(text):
    """Return the rows of a semicolon file, each cell as the type that it gets: number, date or text.

    1.234,56 is a number, with or without points between thousands; 9.10 is the ninth of October.
    """
    rows = as_a_spreadsheet_reads(text.removeprefix("\ufeff"), ";")
    return [[_german(cell) for cell in row] for row in rows]


def _german(cell):
    whole, _, fraction = cell.removeprefix("-").partition(",")
    groups = whole.split(".")
    is_grouped = len(groups) == 1 or all(len(group) == 3 for group in groups[1:])
    if whole and is_grouped and (whole + fraction).replace(".", "").isdigit():
        return Decimal(cell.replace(".", "").replace(",", "."))
    day, _, month = cell.partition(".")
    if day.isdigit() and month.isdigit() and 1 <= int(day) <= 31 and 1 <= int(month) <= 12:
        return ("date", int(day), int(month))
    return cell


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("unseen", UNSEEN)
def test_a_formula_is_made_text_at_the_beginning_and_behind_every_separator(sign, unseen):
    assert cells.free_text(f"{unseen}{sign}1") == f"'{unseen}{sign}1"
    for separator in [*SEPARATORS, *LINES]:
        safe = cells.free_text(f"a{separator}{unseen}{sign}1")
        assert safe == f"a{separator}'{unseen}{sign}1"
        assert cells.free_text(safe) == safe


def test_no_sign_that_cannot_be_seen_hides_a_formula():
    unseen = [
        sign
        for sign in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(sign) in {"Cc", "Cf", "Zs", "Zl", "Zp"}
    ]

    assert len(unseen) > 200
    assert [sign for sign in unseen if "'" not in cells.free_text(f"{sign}=1")] == []


@pytest.mark.parametrize(
    "harmless",
    ["SP-2026-1", "a = b", "42b69134-7653-5c91-bb4c-3b4df54f3be9", "a+b; c", "mira@desk", "5 - 3"],
)
def test_a_sign_in_the_middle_of_a_text_stays_as_it_is(harmless):
    assert cells.free_text(harmless) == harmless


@given(NASTY)
@example("a;=1+1")
@example("x\t=cmd")
@example("x\r\n\ufeff＝1")  # noqa: RUF001 -- this very sign
def test_no_part_of_a_text_is_a_formula_however_it_is_split(text):
    safe = cells.free_text(text)

    assert not any(map(is_formula, split_blindly(safe)))
    assert safe.replace("'", "") == text.replace("'", "")


@given(ROWS, st.sampled_from(["comma", "semicolon"]), st.sampled_from(["point", "comma"]))
def test_pythons_reader_gives_each_text_back(rows, delimiter, decimal):
    text = made(rows, delimiter=delimiter, decimal=decimal)

    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=cells.DELIMITERS[delimiter]))

    assert read == [[cells.free_text(cell) for cell in row] for row in rows]


@given(ROWS, st.sampled_from(["comma", "semicolon"]))
def test_a_spreadsheet_reads_the_same_cells_and_no_formula(rows, delimiter):
    text = made(rows, delimiter=delimiter)

    read = as_a_spreadsheet_reads(text, cells.DELIMITERS[delimiter])

    assert read == [[cells.free_text(cell) for cell in row] for row in rows]
    assert not any(is_formula(cell) for row in read for cell in row)


@given(ROWS, st.sampled_from(["comma", "semicolon"]))
def test_a_spreadsheet_told_the_wrong_delimiter_computes_nothing_either(rows, delimiter):
    text = made(rows, delimiter=delimiter)

    assert not any(map(is_formula, split_blindly(text)))


@pytest.mark.parametrize("delimiter", ["comma", "semicolon"])
@pytest.mark.parametrize("inside", [";", "\t", '"', "\r", "\n", "\r\n", "|"])
def test_a_cell_with_a_separator_a_quote_or_a_line_break_is_quoted_whatever_the_delimiter(
    delimiter, inside
):
    escaped = inside.replace('"', '""')

    assert made([(f"a{inside}b", "c")], delimiter=delimiter).startswith(f'"a{escaped}b"')


def test_a_comma_is_quoted_in_the_comma_file_alone():
    assert made([("a,b", "c")]) == '"a,b",c\r\n'
    assert made([("a,b", "c")], delimiter="semicolon") == "a,b;c\r\n"


def test_a_negative_number_stays_a_number_and_a_text_that_looks_like_one_does_not():
    row = (cells.number("-5.10"), cells.milliseconds(timedelta(seconds=-1)), "-5.10")

    assert made([row]) == "-5.10,-1000,'-5.10\r\n"


def test_what_should_be_a_number_and_is_none_is_text():
    assert made([(cells.number("=1+1"), cells.number("1e5"), cells.number(""))]) == "'=1+1,1e5,\r\n"


def test_the_decimal_comma_is_that_of_numbers_alone():
    row = (cells.number("9.10"), cells.seconds(timedelta(seconds=19)), "9.10", "v1.2")

    assert made([row], delimiter="semicolon", decimal="comma") == "9,10;19,000;9.10;v1.2\r\n"
    assert made([row], decimal="comma") == '"9,10","19,000",9.10,v1.2\r\n'


def test_a_german_excel_reads_the_amounts_of_the_semicolon_file_as_amounts():
    rows = [
        ("amount", "quantity", "took"),
        (cells.number("9.10"), cells.number("1.142"), cells.seconds(timedelta(seconds=19))),
    ]
    form = {"bom": True, "delimiter": "semicolon"}

    assert as_german_excel_reads(made(rows, **form))[1] == [
        ("date", 9, 10),
        Decimal(1142),
        Decimal(19000),
    ]
    assert as_german_excel_reads(made(rows, **form, decimal="comma"))[1] == [
        Decimal("9.10"),
        Decimal("1.142"),
        Decimal(19),
    ]


def test_a_row_of_one_empty_cell_is_a_row():
    assert list(csv.reader(io.StringIO(made([("a",), ("",)]), newline=""))) == [["a"], [""]]
