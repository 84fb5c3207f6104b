"""The kinds of answers that calls ask for, and what we need of their outer form. Pure."""

import math
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from .reading import OWN_ID, Answer, Shape

__all__ = ["Answer", "Object"]

Object = dict[str, Any]


def anything(_: Answer) -> str:
    """Any JSON, or nothing at all."""
    return ""


def an_object(pk: UUID) -> Shape:
    """Return the shape of the object with this id: a gateway's own JSON has none."""

    def shape(answer: Answer) -> str:
        if not isinstance(answer.payload, dict):
            return "is no JSON object"
        named = id_in(answer.payload, "id")
        if named is None:
            return "has no id"
        return "" if named == pk else f"is about {named}, not about {pk}"

    return shape


def a_list(name: str) -> Shape:
    """Return the shape of an object that holds a list of objects called ``name``."""

    def shape(answer: Answer) -> str:
        entries = answer.payload.get(name) if isinstance(answer.payload, dict) else None
        if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
            return ""
        return f"has no list of objects called {name}"

    return shape


def a_page(offset: int) -> Shape:
    """Return the shape of the part of a list that begins there, not of another, nor of none where there is more.

    What a cache on the way kept of another question looks like that. ``meta`` need not be there.
    """

    def shape(answer: Answer) -> str:
        if what := a_list("data")(answer):
            return what
        meta = answer.payload.get("meta")
        begin = meta.get("offset") if isinstance(meta, dict) else None
        if isinstance(begin, int) and begin != offset:
            return f"lists from {begin} on, not from {offset}"
        is_cut = not answer.payload["data"] and offset < total_count(answer) < math.inf
        return f"lists nothing of {total_count(answer)}" if is_cut else ""

    return shape


def a_placement(answer: Answer) -> str:
    """Say in what an answer is not the portfolio order that was placed, or its id alone (the contract, 7.8)."""
    if not isinstance(answer.payload, dict):
        return "is no JSON object"
    if placed_in(answer.payload) is None:
        return "does not say which portfolio order was placed"
    return "" if "status" in answer.payload else _without_number(answer)


def a_receipt(pk: UUID | None = None) -> Shape:
    """Return the shape of what is answered to a call that only has something done: nothing, or an object.

    The object may be that with this id.
    """

    def shape(answer: Answer) -> str:
        if answer.payload is None:
            return _without_number(answer)
        if not isinstance(answer.payload, dict):
            return "is no JSON object"
        named = id_in(answer.payload, "id") if pk else None
        if named == pk is not None:
            return ""
        return f"is about {named}, not about {pk}" if named else _without_number(answer)

    return shape


def _without_number(answer: Answer) -> str:
    """Say that an answer does not have upstream's number of the request.

    The contract has it on every answer. Where the body proves nothing, it alone tells upstream
    from a gateway that answers 204, or 202 with a number of its own.
    """
    return "" if answer.request_id else f"has no {OWN_ID}"


def placed_in(payload: Mapping[str, Any]) -> UUID | None:
    """Return the id of the portfolio order that an answer to a placement names."""
    return id_in(payload, "id") or id_in(payload, "portfolio_order_id")


def id_in(payload: Mapping[str, Any], name: str) -> UUID | None:
    """Return an id that is a UUID; None where there is none."""
    value = payload.get(name)
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def total_count(answer: Answer) -> float:
    """Return how many entries the whole list has; infinite where upstream does not say."""
    meta = answer.payload.get("meta")
    total = meta.get("total_count") if isinstance(meta, dict) else None
    return total if isinstance(total, int) else math.inf
