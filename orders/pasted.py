"""What was pasted into a search box: ids, numbers, ISINs and references, however they came. Pure.

People paste from mails, spreadsheets, logs and addresses: with quotes, brackets and commas around
an id, with signs in it that nobody sees, and several at once. A text may be more than one thing:
"1042" is the number of a delivery and the beginning of a client reference.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from orders.ids import AROUND, as_written, dashed, visible
from orders.words import ISIN

MOST = 50  # looked for at once
SHORTEST = 6  # first characters of an id: fewer are those of too many
LONGEST_NUMBER = 18  # digits
LONGEST_REFERENCE = 255  # characters

WHOLE = re.compile(r"(?<![0-9a-z])(?<![0-9a-z]-)[0-9a-f](?:-?[0-9a-f]){31}(?!-?[0-9a-z])")
JOINED = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=[0-9a-f]{8}-)")
PREFIX = re.compile(rf"[0-9a-f]{{{SHORTEST},31}}")
PART_OF_ID = re.compile(rf"[0-9a-f]{{1,{SHORTEST - 1}}}")
PART_OF_ISIN = re.compile(r"(?=.*[0-9])[A-Z]{2}[A-Z0-9]{1,9}")
CELLS = re.compile(r"[\t\n\r,;|]+")  # what stands between several references
BLANKS = re.compile(r"[\s,;|]+")
# Before an id or a number on our own pages, in logs and in addresses.
LABEL = re.compile(
    r"(urn|uuid|id|no|nr|number|isin|key|request|portfolio|order|event|entry|journal|execution"
    r"|allocation|account|user|placement|cancellation|reconciliation|subscription|delivery)\b"
    r"[^0-9a-z]*"
)
NUMBERED = {  # what has numbers, by what pages call it
    "no": "journalentry",
    "entry": "journalentry",
    **{name: name for name in ("delivery", "reconciliation", "cancellation")},
}
QUOTES = "\"'`\u00b4()[]{}<>"


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to look for, and all that it may be."""

    text: str  # as it is shown to people
    id: UUID | None = None
    first: UUID | None = None  # of the ids that begin like this
    last: UUID | None = None
    isin: str = ""
    start: str = ""  # their first characters, as ids are written
    number: int | None = None
    kind: str = ""  # of what the number is, if that was pasted with it: the name of a model
    references: tuple[str, ...] = ()

    @property
    def readings(self) -> list[str]:
        """What it may be, in words."""
        return [
            words
            for words, is_given in [
                ("ID", self.id is not None),
                ("first characters of an ID", self.first is not None),
                ("ISIN", bool(self.isin)),
                ("number", self.number is not None),
                ("reference", bool(self.references)),
            ]
            if is_given
        ]

    @property
    def is_coded(self) -> bool:
        """Whether it may be more than a reference."""
        return bool(self.id or self.first or self.isin or self.number is not None)

    @property
    def too_short(self) -> str:
        """What is missing for it to be found as an id or an ISIN, in a sentence; "" if nothing is."""
        plain = self.text.lower().replace("-", "")
        if PART_OF_ID.fullmatch(plain):
            return (
                f"“{self.text}” is too short for an ID: at least {SHORTEST} characters are needed."
            )
        if PART_OF_ISIN.fullmatch(self.text.upper()) and not self.first:
            return f"“{self.text}” is too short for an ISIN: all 12 characters are needed."
        return ""


@dataclass(frozen=True, slots=True)
class Pasted:
    """What to look for; ``left_out`` is how many terms there were beyond the most."""

    terms: tuple[Term, ...]
    left_out: int = 0

    @property
    def ids(self) -> list[UUID]:
        """The whole ids."""
        return [it.id for it in self.terms if it.id]

    @property
    def ranges(self) -> list[tuple[UUID, UUID]]:
        """The spans of the ids of which the first characters are known."""
        return [(it.first, it.last) for it in self.terms if it.first and it.last]

    @property
    def isins(self) -> list[str]:
        """The instruments."""
        return [it.isin for it in self.terms if it.isin]

    def numbers(self, kind: str) -> list[int]:
        """Return the numbers that may be of this kind, the name of a model."""
        numbered = [it for it in self.terms if it.kind in {"", kind}]
        return [it.number for it in numbered if it.number is not None]

    @property
    def references(self) -> list[str]:
        """The beginnings of client references, each as it was pasted and without what stands around it."""
        return list(dict.fromkeys(text for it in self.terms for text in it.references))


def read(text: str) -> Pasted:
    """Return what to look for; nothing if the text holds nothing."""
    seen = visible(text).strip()
    if not seen:
        return Pasted(())
    terms = list({term.id or term.text: term for term in _terms(seen)}.values())
    return Pasted(tuple(terms[:MOST]), max(0, len(terms) - MOST))


def _terms(seen: str) -> Iterator[Term]:
    """Yield a term for each cell, or each id of one."""
    cells = [cell for cell in map(str.strip, CELLS.split(seen)) if AROUND.sub("", as_written(cell))]
    if len(cells) <= 1:
        yield from _of_cell(seen)
        return
    first, *rest = [term for cell in cells for term in _of_cell(cell)]
    # Punctuation may also be that of one reference.
    yield replace(first, references=(*first.references, seen[:LONGEST_REFERENCE]))
    yield from rest


def _of_cell(cell: str) -> Iterator[Term]:
    plain = JOINED.sub(r"\1 ", as_written(cell))
    whole, words = WHOLE.findall(plain), [*_names(cell)]
    if whole:
        others = [_term(word) for word in _names(WHOLE.sub(" ", plain))]
        others = [term for term in others if term.is_coded]
        is_alone = len(whole) == 1 and not others
        yield from (_term(cell if is_alone else each, plain=each) for each in whole)
        yield from others
    elif len(words) > 1 and all(map(_has_digit, words)):
        yield from map(_term, words)
    else:
        yield _term(cell)


def _names(text: str) -> Iterator[str]:
    """Yield the words of a text without what stands around them, and without labels."""
    for word in BLANKS.split(text):
        bare = AROUND.sub("", as_written(word))
        if bare and not LABEL.fullmatch(bare):
            yield _bare(word)


def _has_digit(word: str) -> bool:
    """Whether a word is more than a word of a language."""
    return any(map(str.isdigit, word))


def _term(text: str, *, plain: str = "") -> Term:
    """Return all that one text may be."""
    shown = _bare(text) or text.strip()
    references = _references(text, shown)
    bare, kind = _unlabelled(AROUND.sub("", plain or as_written(text)))
    digits = bare.replace("-", "")
    if WHOLE.fullmatch(bare):
        pk = UUID(digits)
        return Term(str(pk), id=pk, references=_references(text, str(pk)))
    isin = digits.upper() if ISIN.fullmatch(digits.upper()) else ""
    is_number = bare.isdecimal() and len(bare) <= LONGEST_NUMBER
    number = int(bare) if is_number and "-" not in shown[:1] else None
    term = Term(shown, isin=isin, number=number, kind=kind, references=references)
    if not PREFIX.fullmatch(digits):
        return term
    first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    return replace(term, first=first, last=last, start=_hyphenated(digits))


def _unlabelled(text: str) -> tuple[str, str]:
    """Return a text without what it is called, as in a title, and of what kind its number is."""
    kind = ""
    while match := LABEL.match(text):
        rest = text[match.end() :]
        if not _has_digit(rest):
            break
        text, kind = rest, NUMBERED.get(match[1], kind)
    return text, kind


def _hyphenated(digits: str) -> str:
    """Return the first characters of an id as ids are written."""
    parts = [digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]]
    return "-".join(part for part in parts if part)


def _references(*texts: str) -> tuple[str, ...]:
    """Return the forms in which a reference may be stored: as pasted, bare, and with plain dashes."""
    forms = [form for text in texts for form in (text.strip(), _bare(text), dashed(_bare(text)))]
    return tuple(dict.fromkeys(it for it in forms if 0 < len(it) <= LONGEST_REFERENCE))


def _bare(text: str) -> str:
    """Return a text without the quotes, brackets and punctuation around it."""
    sides = {"Ps", "Pe", "Pi", "Pf"}
    text = text.strip()
    while text and (text[0] in QUOTES or unicodedata.category(text[0]) in sides):
        text = text[1:].lstrip()
    while text and (text[-1] in QUOTES + ",.;:…" or unicodedata.category(text[-1]) in sides):
        text = text[:-1].rstrip()
    return text


def hints(terms: Sequence[Term]) -> list[str]:
    """Return what is missing for the terms to be found, a sentence each."""
    return [it.too_short for it in terms if it.too_short]


def too_many(pasted: Pasted) -> list[str]:
    """Return that not all was looked for, in a sentence; nothing if it was."""
    if not pasted.left_out:
        return []
    return [f"Only the first {MOST} of {MOST + pasted.left_out:,} were searched for."]
