"""The orders that a person is typing, kept in their session: Back and a reload show what was typed.

A draft lives as long as the session that holds it, at most five at once, until its order is placed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.http import HttpRequest

KEPT = "placing"  # in the session
MOST = 5
LONGEST = 200  # characters of a field, as its input takes


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed into the forms of one order, and what is wrong with it."""

    typed: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def kept(request: HttpRequest, key: UUID) -> Draft | None:
    """Return the draft of an order; None if this session has none."""
    found = _all(request).get(str(key))
    return Draft(found["typed"], found["problems"]) if found else None


def keep(
    request: HttpRequest, key: UUID, typed: Mapping[str, str], problems: Mapping[str, str]
) -> None:
    """Keep what was typed; the oldest drafts make room."""
    others = {name: it for name, it in _all(request).items() if name != str(key)}
    cut = {name: text[:LONGEST] for name, text in typed.items()}
    newest = {str(key): {"typed": cut, "problems": dict(problems)}}
    request.session[KEPT] = dict(list(others.items())[-MOST + 1 :]) | newest


def forget(request: HttpRequest, key: UUID) -> None:
    """Forget a draft: its order is placed."""
    request.session[KEPT] = {name: it for name, it in _all(request).items() if name != str(key)}


def _all(request: HttpRequest) -> dict[str, Any]:
    return dict(request.session.get(KEPT, {}))
