"""Reading an id that a person typed or pasted, and what programs put around and into a text. Pure."""

import re
import unicodedata
from uuid import UUID

EXAMPLE = "4e97711f-794d-49c7-8fd1-df96532ab6f0"
LIKE = f"36 characters such as {EXAMPLE}"  # what to say of an id in an error
WHOLE = re.compile(
    r"(?:urn:uuid:)?([0-9a-f]{8}(-?)[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{4}\2[0-9a-f]{12})"
)
AROUND = re.compile(r"^[^0-9a-z]+|[^0-9a-z]+$")  # of a plain text: quotes, brackets, commas, blanks
DASHES = {"\u2212": "-", "\u2043": "-"}  # signs that look like a dash, and are none for Unicode


def read_id(text: str) -> UUID | None:
    """Return the whole id in ``text``: with its hyphens or without, whatever stands around it; else None."""
    found = WHOLE.fullmatch(bare(text))
    return UUID(found[1]) if found else None


def bare(text: str) -> str:
    """Return the id, or the part of one, that was pasted: without what is around it or cannot be seen."""
    return AROUND.sub("", as_written(visible(text)))


def visible(text: str) -> str:
    """Return a text without signs that nobody sees; every kind of blank is a plain one."""
    return "".join(
        " " if unicodedata.category(sign) in {"Zs", "Zl", "Zp"} else sign
        for sign in text
        if sign in "\t\n\r" or unicodedata.category(sign) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )


def dashed(text: str) -> str:
    """Return a text with a plain hyphen for every hyphen and dash."""
    return "".join(
        "-" if unicodedata.category(sign) == "Pd" else DASHES.get(sign, sign) for sign in text
    )


def as_written(text: str) -> str:
    """Return a text as ids are written: small letters, ASCII digits, plain hyphens."""
    return dashed(unicodedata.normalize("NFKC", dashed(text))).lower()
