"""An event that is no sound JSON: its bytes, and what can be told from them all the same. Pure.

It is quarantined with its bytes; what it seems to be about is asked about, so that nothing that it
may have said is lost.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from backoffice.foreign_json import TOO_DEEP, TooDeepError, parse

UUIDS = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TYPE = re.compile(rb'"type"\s*:\s*"([A-Z_]{1,40}\.[A-Z_]{1,40})"')
OBJECT = re.compile(rb'"object"\s*:\s*\{')
MOST_IDS = 2000  # looked for in one event: a portfolio order may list as many


@dataclass(frozen=True, slots=True)
class Damaged:
    """The bytes of one event that cannot be read."""

    raw: bytes

    @property
    def reason(self) -> str:
        """Return why it cannot be read, as people read it."""
        return f"the event {fault_in(self.raw)}"

    @property
    def ids(self) -> frozenset[UUID]:
        """Return every id that stands in it, ``MOST_IDS`` at most."""
        return ids_in(self.raw)

    @property
    def type(self) -> str:
        """Return the type of the event, if one can be told."""
        found = TYPE.search(self.raw)
        return found[1].decode() if found else ""

    def id_of(self, name: str) -> UUID | None:
        """Return the id that the event's object seems to have under ``name``."""
        start = OBJECT.search(self.raw)
        named = re.compile(rb'"%s"\s*:\s*"(%s)"' % (name.encode(), UUIDS.pattern))
        found = named.search(self.raw, start.end() if start else 0)
        return UUID(found[1].decode()) if found else None


def fault_in(raw: bytes) -> str:
    """Return what is wrong with ``raw`` as JSON: "is not JSON: ..."; it has to have a fault."""
    try:
        parse(raw.decode())
    except UnicodeDecodeError as error:
        return f"is not JSON: byte {error.start + 1:,} is not UTF-8"
    except json.JSONDecodeError as error:
        found = error.doc[error.pos : error.pos + 1]
        what = f"{found!r} does not belong there" if found else "it ends too early"
        return f"is not JSON: at character {error.pos + 1:,} {what}"
    except TooDeepError:
        return f"is {TOO_DEEP}"
    return "cannot be read"


def ids_in(raw: bytes) -> frozenset[UUID]:
    """Return every id that stands in ``raw``, ``MOST_IDS`` at most."""
    return frozenset(_first(MOST_IDS, raw))


def _first(most: int, raw: bytes) -> Iterator[UUID]:
    seen: set[bytes] = set()
    for found in UUIDS.finditer(raw):
        if len(seen) == most:
            return
        if found[0] not in seen:
            seen.add(found[0])
            yield UUID(found[0].decode())
