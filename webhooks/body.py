"""The body of a delivery: unpacked, and split into its events. Pure.

A body is read event by event: one that cannot be read costs none of its neighbours. Source:
investment-api.md, section 4.2.
"""

import json
import re
import zlib
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any

from backoffice.foreign_json import TOKEN, is_deep, parse
from orders.damaged import Damaged, fault_in

GZIP, DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS
ENCODINGS = {"gzip": GZIP, "x-gzip": GZIP, "deflate": DEFLATE}
BARE_LIST, ENVELOPE = re.compile(r"\s*\[\s*"), re.compile(r'"payload"\s*:\s*\[\s*')
CLOSED_BY = {"[": "]", "{": "}"}
PLAIN = re.compile(r'[^\s,\[\]{}"]+')  # a number or a word
NEXT_EVENT = re.compile(r"(?<=[,;\[\]}\s])(?=\{)")  # behind a comma, or where one should be
SEPARATORS = " \t\r\n,;"
BETWEEN, CLOSING = re.compile(r"\s*,\s*"), re.compile(r"\s*\]")


class UnreadableBodyError(ValueError):
    """The body holds no events that can be told apart; the message says why."""


class _Text(str):
    """Text of which an error of the JSON reader counts no lines: that reads all before it, for each error."""

    __slots__ = ()

    def count(self, *_: Any) -> int:
        """Return no number."""
        return 0

    def rfind(self, *_: Any) -> int:
        """Return no place."""
        return -1


def unpacked(body: bytes, encoding: str, *, limit: int) -> bytes:
    """Return a body without its ``Content-Encoding``, at most ``limit`` bytes.

    Raises UnreadableBodyError for an encoding we do not know, a broken one, or a body that is longer.
    """
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    for name in reversed(names):  # the last one was applied last
        if name == "identity":
            continue
        if name not in ENCODINGS:
            raise UnreadableBodyError(f"the content encoding {name[:40]!r} is not known")
        body = _inflated(body, name, limit)
    return body


def events_in(body: bytes) -> list[object]:
    """Return the events of a body: enveloped, a bare list, or one bare event.

    What cannot be read as an event is Damaged, with its bytes. No digit is lost: what is no whole
    number stays text. Raises UnreadableBodyError where no events can be told apart.
    """
    if not body.strip():
        raise UnreadableBodyError("the body is empty")
    try:
        # Of a key that stands there twice a parser keeps the last: the events of the first were lost.
        if body.count(b'"payload"') < 2:
            return _of_shape(parse(body))
    except UnreadableBodyError:
        raise
    except ValueError:
        pass
    events = list(_one_by_one(body))
    if not any(_looks_like_an_event(event) for event in events):
        raise UnreadableBodyError(f"the body {fault_in(body)}")
    return events


def _inflated(body: bytes, name: str, limit: int) -> bytes:
    too_long = UnreadableBodyError(f"unpacked from {name} the body is longer than {limit:,} bytes")
    parts: list[bytes] = []
    left, room = body, limit
    try:
        while left:  # gzip allows several members, one behind the other
            reader = zlib.decompressobj(_window(name, left))
            parts.append(reader.decompress(left, room + 1))
            room -= len(parts[-1])
            if room < 0:
                raise too_long
            if not reader.eof:
                raise UnreadableBodyError(f"the body is not whole {name}")
            left = reader.unused_data.lstrip(b"\0")
    except zlib.error:
        raise UnreadableBodyError(f"the body is not {name}") from None
    return b"".join(parts)


def _window(name: str, body: bytes) -> int:
    """Return how zlib has to read: some senders leave out the frame that "deflate" should have."""
    is_framed = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return -zlib.MAX_WBITS if name == "deflate" and not is_framed else ENCODINGS[name]


def _of_shape(value: object) -> list[object]:
    if isinstance(value, dict) and isinstance(value.get("payload"), list):
        return list(value["payload"])
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and "type" in value:
        return [value]
    raise UnreadableBodyError("the body is neither {payload: [...]}, a list, nor an event")


def _one_by_one(body: bytes) -> Iterator[object]:
    """Yield the events of a body that cannot be read whole, the damaged ones with their bytes."""
    text = _Text(_text(body))
    beginning = BARE_LIST.match(text) or ENVELOPE.search(text)
    at = beginning.end() if beginning else len(text) - len(text.lstrip())
    yield from _with_ids(text[:at])
    sound = (
        at  # where the next event begins that can be read: looked for once, not for each before it
    )
    while at < len(text):
        if not CLOSING.match(text, at):
            end = _end_of_event(text, at)
            if end is None and text[at] != ",":
                sound = sound if sound > at else _next_event(text, at + 1)
                end = _end(text, at, sound)
            end = at if end is None else end
            if member := text[at:end].rstrip(SEPARATORS):  # between two commas there is nothing
                yield _member(member)
            separator = BETWEEN.match(text, end)
            at = separator.end() if separator else end
            if separator or text.startswith("{", at):
                continue
        # A stray bracket or word may have ended the list, or another list may follow.
        sound = _next_event(text, at)
        yield from _with_ids(text[at:sound])
        at = sound


def _with_ids(text: str) -> Iterator[object]:
    """Yield what stands beside the events, if it names anything that may have to be asked about."""
    if (left := Damaged(_bytes(text.strip()))).ids:
        yield left


def _looks_like_an_event(event: object) -> bool:
    if isinstance(event, Damaged):
        return bool(event.ids or event.type)
    return isinstance(event, dict)


def _end_of_event(text: str, at: int) -> int | None:
    """Return where the event ends that begins at ``at``; None if it cannot be read."""
    if text[at] != "{":
        return None
    event, end = _decoded(text, at)
    is_one = isinstance(event, dict) and (BETWEEN.match(text, end) or CLOSING.match(text, end))
    return end if is_one else None


def _end(text: str, at: int, sound: int) -> int:
    """Return where the member that begins at ``at`` ends, by its brackets.

    They may be broken: it reaches no further than to ``sound``, the next event that can be read.
    """
    if plain := PLAIN.match(text, at, sound):
        return plain.end()
    expected: list[str] = []
    for token in TOKEN.finditer(text, at, sound):
        if closing := CLOSED_BY.get(token[0]):
            expected.append(closing)
        elif token[0] in "]}" and (not expected or expected.pop() != token[0]):
            return sound
        if not expected:
            end = token.end()
            return end if BETWEEN.match(text, end) or CLOSING.match(text, end) else sound
    return sound


def _next_event(text: str, at: int) -> int:
    """Return where the next event begins that can be read; the end of ``text`` if there is none."""
    for candidate in NEXT_EVENT.finditer(text, at):
        event, _ = _decoded(text, candidate.end())
        if isinstance(event, dict) and {"type", "object"} <= event.keys():
            return candidate.start()
    return len(text)


def _member(text: str) -> object:
    raw = _bytes(text)
    try:
        return parse(raw.decode())
    except ValueError:
        return Damaged(raw)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(text: str, at: int) -> tuple[object, int]:
    """Return what begins at ``at``, and where it ends; None if it cannot be read, whatever Python reads."""
    try:
        value, end = JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, at
    return (None, at) if is_deep(text[at:end]) else (value, end)


def _text(body: bytes) -> str:
    """Return a body as text; a byte that is no text is kept as a lone surrogate."""
    encoding = json.detect_encoding(body)
    return body.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "replace")
