"""What people paste into a search box, and what it is taken for."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.pasted import MOST, hints, read

WHOLE = UUID("01234567-89ab-cdef-0123-456789abcdef")
OTHER = UUID("4e97711f-794d-49c7-8fd1-df96532ab6f0")
HYPHENS = ["-", "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2212", "\uff0d", "\u00ad-", ""]
UNSEEN = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u200e", "\u202a", "\0"]
BLANKS = [" ", "\u00a0", "\u202f", "\u2003", "\u3000", "\t", "\n", "\r\n"]
OPENING = [
    "",
    '"',
    "'",
    "“",
    "„",
    "«",
    "\u2039",
    "(",
    "[",
    "{",
    "<",
    "`",
    "urn:uuid:",
    "id=",
    "ID: ",
]
CLOSING = [
    "",
    '"',
    "'",
    "”",
    "“",
    "»",
    "\u203a",
    ")",
    "]",
    "}",
    ">",
    "`",
    ",",
    ".",
    ";",
    ":",
    '",',
    "),",
    "…",
]
IDS = st.uuids()


@st.composite
def decorated(draw, ids=IDS):
    """Draw (an id, a text in which somebody may paste it)."""
    pk = draw(ids)
    hyphen = draw(st.sampled_from(HYPHENS))
    text = hyphen.join(str(pk).split("-"))
    if draw(st.booleans()):
        text = text.upper()
    for place in draw(st.lists(st.integers(0, len(text)), max_size=3)):
        text = text[:place] + draw(st.sampled_from(UNSEEN)) + text[place:]
    parts = [BLANKS, OPENING, [text], CLOSING, BLANKS]
    return pk, "".join(
        draw(st.sampled_from(["", *each] if each is BLANKS else each)) for each in parts
    )


@given(decorated())
def test_an_id_is_known_however_it_was_pasted(pasted):
    pk, text = pasted

    (term,) = read(text).terms

    assert term.id == pk
    assert term.text == str(pk)


@given(st.lists(decorated(), min_size=2, max_size=6, unique_by=lambda it: it[0]), st.data())
def test_several_ids_are_a_list_whatever_stands_between_them(pasted, data):
    between = st.sampled_from([", ", ",", ";", "\t", "\n", "\r\n", " ", " | ", " and "])

    text = "".join(text + data.draw(between) for _, text in pasted)

    assert read(text).ids == [pk for pk, _ in pasted]


@given(st.uuids(), st.integers(6, 31), st.sampled_from(OPENING), st.sampled_from(CLOSING))
def test_the_first_characters_of_an_id_are_a_span_of_ids(pk, count, before, after):
    (term,) = read(before + str(pk)[:count].rstrip("-") + after).terms

    assert term.first <= pk <= term.last
    assert str(pk).startswith(term.start)


@given(st.text(max_size=80))
def test_any_text_is_read(text):
    pasted = read(text)

    assert len(pasted.terms) <= MOST
    assert all(term.text for term in pasted.terms)


@pytest.mark.parametrize(("text", "shown"), [
    ("Portfolio order c8140213", "c8140213"), ("Order c8140213", "c8140213"), ("id=c8140213", "c8140213"),
    ("c8140213…", "c8140213"), ("C8140213-4E97", "c8140213-4e97"),
])  # fmt: skip
def test_a_title_of_a_page_is_an_id(text, shown):
    (term,) = read(text).terms

    assert term.start == shown


@pytest.mark.parametrize(("text", "number", "kind"), [
    ("1042", 1042, ""), ("#1042", 1042, ""), ("Delivery 1042", 1042, "delivery"), ("No. 1720", 1720, "journalentry"),
    ("Entry 2156", 2156, "journalentry"), ("Reconciliation 3.", 3, "reconciliation"), ("(1042),", 1042, ""),
    ("\u200b1042", 1042, ""), ("9" * 30, None, ""), ("10.42", None, ""), ("-1", None, ""),
])  # fmt: skip
def test_a_number_is_one_of_what_is_numbered(text, number, kind):
    (term,) = read(text).terms

    assert (term.number, term.kind) == (number, kind)


@pytest.mark.parametrize(("text", "readings"), [
    ("1042", ["number", "reference"]), ("SP2026112201", ["ISIN", "reference"]),
    ("IE00B3XXRP09", ["ISIN", "reference"]), ("ie00b3xxrp09,", ["ISIN", "reference"]),
    ("123456", ["first characters of an ID", "number", "reference"]), ("savings plan 7", ["reference"]),
    (str(WHOLE), ["ID", "reference"]), ("-" * 40, ["reference"]), ("0" * 33, ["number", "reference"][1:]),
])  # fmt: skip
def test_a_text_may_be_more_than_one_thing(text, readings):
    (term,) = read(text).terms

    assert term.readings == readings


@pytest.mark.parametrize(
    "text", ["=plan_50%", "Order of Ms. O'Hara", "Smith & Sons (2026)", "plan №7"]
)
def test_a_reference_is_looked_for_as_it_was_pasted(text):
    (term,) = read(f" {text}\n").terms

    assert text in term.references


@pytest.mark.parametrize(
    "text",
    ["“savings plan 7”,", "(savings plan 7)", "savings\u00a0plan 7.", "sav\u200bings plan 7"],
)
def test_a_reference_loses_what_stands_around_it(text):
    assert "savings plan 7" in read(text).references


def test_a_reference_with_a_typographic_dash_is_looked_for_with_a_plain_one_too():
    assert "SP-2026-11" in read("SP\u20132026\u201311").references


@pytest.mark.parametrize(("text", "terms"), [
    ("SP2026112201 SP2026112202", ["SP2026112201", "SP2026112202"]), ("1042, 1043", ["1042", "1043"]),
    ("c8140213 4e97711f", ["c8140213", "4e97711f"]), ("alpha\nbeta\tgamma", ["alpha", "beta", "gamma"]),
    ("savings plan 7", ["savings plan 7"]), (f"{WHOLE}\tSP-77\nIE00B3XXRP09", [str(WHOLE), "SP-77", "IE00B3XXRP09"]),
    (f"{WHOLE}{OTHER}", [str(WHOLE), str(OTHER)]), (f"{WHOLE}, {WHOLE}", [str(WHOLE)]),
    (f"order {WHOLE} and {OTHER}", [str(WHOLE), str(OTHER)]),
    ("Order c8140213, order 4e97711f", ["Order c8140213", "order 4e97711f"]),
    (f"https://desk/admin/orders/order/{WHOLE}/change/?_changelist_filters=status%3DNEW", [str(WHOLE)]),
])  # fmt: skip
def test_several_things_are_told_from_one_of_several_words(text, terms):
    assert [term.text for term in read(text).terms] == terms


def test_a_list_that_may_be_one_reference_with_commas_is_looked_for_as_one_too():
    assert "Smith, John" in read("Smith, John").references


def test_no_more_than_the_most_are_looked_for_and_the_rest_is_counted():
    pasted = read("\n".join(str(UUID(int=n)) for n in range(MOST + 3)))

    assert len(pasted.ids) == MOST
    assert pasted.left_out == 3


@pytest.mark.parametrize("text", ["", "  ", "\0", "\u200b\u00a0"])
def test_nothing_is_nothing(text):
    assert read(text).terms == ()


@pytest.mark.parametrize(("text", "said"), [
    ("c8140", "“c8140” is too short for an ID: at least 6 characters are needed."),
    ("1042", "“1042” is too short for an ID: at least 6 characters are needed."),
    ("IE00B3", "“IE00B3” is too short for an ISIN: all 12 characters are needed."),
])  # fmt: skip
def test_what_is_too_short_says_how_much_is_needed(text, said):
    assert hints(read(text).terms) == [said]


@pytest.mark.parametrize(
    "text", ["c81402", str(WHOLE), "savings plan 7", "IE00B3XXRP09", "order", "beta"]
)
def test_what_is_long_enough_says_nothing(text):
    assert not re.search("too short", " ".join(hints(read(text).terms)))
