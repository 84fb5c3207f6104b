import csv
import io
from datetime import UTC, datetime, timedelta, timezone

import pytest

from orders.export import cells


def test_a_moment_is_in_utc_with_milliseconds_and_z():
    berlin = timezone(timedelta(hours=1))

    assert (
        cells.moment(datetime(2026, 11, 22, 7, 5, 1, 123999, berlin)) == "2026-11-22T06:05:01.123Z"
    )
    assert cells.moment(datetime(2026, 11, 22, tzinfo=UTC)) == "2026-11-22T00:00:00.000Z"
    assert cells.moment(None) == ""


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_free_text_that_a_spreadsheet_takes_for_a_formula_is_made_text(first):
    assert cells.free_text(f"{first}1+1") == f"'{first}1+1"


def test_other_free_text_stays_as_it_is():
    assert cells.free_text("1=1, 'quoted'") == "1=1, 'quoted'"
    assert cells.free_text("") == ""


def test_durations_are_exact():
    assert cells.milliseconds(timedelta(seconds=1, microseconds=999)) == "1000"
    assert cells.seconds(timedelta(days=1, milliseconds=5)) == "86400.005"
    assert (cells.milliseconds(None), cells.seconds(None)) == ("", "")


def test_a_file_has_crlf_and_quotes_only_where_needed():
    rows = [("a", "b"), ("1,5", 'say "no"'), ("two\r\nlines", "")]

    assert b"".join(cells.encode(rows, bom=False)) == (
        b'a,b\r\n"1,5","say ""no"""\r\n"two\r\nlines",\r\n'
    )


def test_a_file_for_excel_begins_with_a_bom_and_may_have_semicolons():
    assert b"".join(cells.encode([("ä", "b;c")], bom=True, delimiter="semicolon")) == (
        b'\xef\xbb\xbf\xc3\xa4;"b;c"\r\n'
    )


def test_the_header_comes_at_once_and_the_rest_in_chunks():
    made = []

    def rows():
        for number in range(100_000):
            made.append(number)
            yield (str(number), "x" * 20)

    chunks = cells.encode(rows(), bom=False)

    assert next(chunks) == b"0," + b"x" * 20 + b"\r\n"
    assert len(made) == 1
    rest = list(chunks)
    assert max(map(len, rest)) < 2 * cells.CHUNK
    assert len(list(csv.reader(io.StringIO(b"".join(rest).decode())))) == 99_999


def test_a_failure_in_the_middle_is_raised():
    def rows():
        yield ("header",)
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError, match="went away"):
        list(cells.encode(rows(), bom=False))
