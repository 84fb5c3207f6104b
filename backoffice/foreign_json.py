"""JSON that was written outside: deliveries and answers of the broker. Pure, and the only reader of it.

How deep a reader goes depends on the Python it runs on: the limit here is below that of each, so all
of them read the same and refuse the same.
"""

import json
import re
from typing import Any

DEEPEST = 100  # levels; upstream uses six
TOO_DEEP = f"nested too deeply: more than {DEEPEST} levels"
LONGEST_INTEGER = 4300  # digits, the most that Python makes a number of
NOT_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
ALIKE = bytes.maketrans(b"{}", b"[]")
# A text that never ends reaches to the end: else each of its quotes would be tried, over and over.
TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


class TooDeepError(ValueError):
    """JSON that is nested deeper than ``DEEPEST``."""

    def __init__(self) -> None:
        super().__init__(f"it is {TOO_DEEP}")


def parse(text: bytes | str, *, strict: bool = True) -> Any:
    """Return JSON parsed without the loss of a digit: what is no whole number stays text.

    Raises TooDeepError, and ValueError for what is no JSON. Unless ``strict`` a raw control
    character is taken as it is.
    """
    if is_deep(text):
        raise TooDeepError
    if isinstance(text, bytes):
        text = text.decode(_encoding(text), "surrogatepass")
    elif text.startswith("\ufeff"):
        raise json.JSONDecodeError("Unexpected UTF-8 BOM (decode using utf-8-sig)", text, 0)
    try:
        return (STRICT if strict else LENIENT).decode(text)
    except RecursionError:  # who called was deep in calls
        raise TooDeepError from None


def is_deep(text: bytes | str) -> bool:
    """Return whether JSON is nested deeper than ``DEEPEST``, whatever its texts hold."""
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if not _may_be_deep(raw):
        return False
    return _depth(raw.decode(json.detect_encoding(raw), "replace")) > DEEPEST


def _may_be_deep(raw: bytes) -> bool:
    """Return whether it may be, at a hundredth of the cost: only brackets outside of texts can be told apart."""
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return False
    brackets = raw.translate(ALIKE, NOT_MARKS).replace(b'""', b"")
    if b'"' in brackets or b'\\"' in raw or b"\0" in raw:
        return True  # a text holds a bracket, or a quote
    for _ in range(DEEPEST):  # a level each time
        fewer = brackets.replace(b"[]", b"")
        if len(fewer) == len(brackets):  # nothing is left, or what is left closes nothing
            return bool(brackets)
        brackets = fewer
    return bool(brackets)


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in TOKEN.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        deepest = max(deepest, depth)
    return deepest


def _encoding(raw: bytes) -> str:
    """Return how JSON is encoded; of what we store that is told at once."""
    return "ascii" if raw.isascii() and b"\0" not in raw[:4] else json.detect_encoding(raw)


def _whole_number(text: str) -> int | str:
    return int(text) if len(text) <= LONGEST_INTEGER else text


STRICT, LENIENT = (
    json.JSONDecoder(parse_float=str, parse_constant=str, parse_int=_whole_number, strict=is_strict)
    for is_strict in (True, False)
)
