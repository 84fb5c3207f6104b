"""How the states of placements look, and what Today says of those that wait for somebody."""

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from backoffice.panels import panel
from orders.dashboard import placements, queries
from orders.models import JournalEntry, Placement, PlacementState
from orders.placing import steps
from orders.templatetags.desk import EMPTY, due, pill

register = template.Library()

BADGES = {
    PlacementState.PROPOSED: ("stale", "stale"),
    PlacementState.READY: ("processing", "processing"),
    PlacementState.UNKNOWN: ("stale", "unknown"),
    PlacementState.ACCEPTED: ("filled", "filled"),
    PlacementState.REFUSED: ("failed", "failed"),
    PlacementState.DECLINED: ("cancelled", "slash"),
    PlacementState.NOT_PLACED: ("cancelled", "cancelled"),
}

TITLES = {
    steps.PROPOSED: ("Submitted for approval", "new"),
    steps.SUBMITTED: ("Submitted", "new"),
    steps.APPROVED: ("Approved", "new"),
    steps.DECLINED: ("Declined", "cancelled"),
    steps.WITHDRAWN: ("Withdrawn", "cancelled"),
    steps.SENT: ("Sent", "processing"),
    steps.NOT_SENT: ("Not sent", "stale"),
    steps.UNKNOWN: ("Result unknown", "stale"),
    steps.ACCEPTED: ("Accepted", "filled"),
    steps.REFUSED: ("Refused", "failed"),
    steps.LOOKED_UP: ("Looked up at the broker", "new"),
    steps.SETTLED_PLACED: ("Resolved as placed", "filled"),
    steps.SETTLED_NOT_PLACED: ("Resolved as not placed", "cancelled"),
}


@register.filter
def next_attempt(moment: datetime | None) -> SafeString | str:
    """Return when a placement is sent or looked up next; a moment that has passed tells of a dead worker."""
    return EMPTY if moment is None else due(moment)


@register.filter
def step_title(entry: JournalEntry) -> str:
    """Return what a step of a placement is called; the broker's answer is an entry, too."""
    if entry.type != steps.TYPE:
        return "The broker's answer"
    return TITLES[entry.status][0] if entry.status in TITLES else entry.status


@register.filter
def step_tone(entry: JournalEntry) -> str:
    """Return the class of the colour of a step."""
    return TITLES[entry.status][1] if entry.status in TITLES else "new"


@register.filter
def placement_badge(placement: Placement | str) -> SafeString:
    """Return the badge of the state of a placement."""
    if isinstance(placement, Placement):
        if placement.is_withdrawn:
            return pill(*BADGES[PlacementState.DECLINED], "Withdrawn")
        placement = placement.state
    known = PlacementState(placement)
    return pill(*BADGES[known], str(known.label))


@register.simple_tag
def placements_that_wait() -> dict[str, Any]:
    """Return what Today says of placements that wait for a person."""
    return panel(lambda: placements.waiting(queries.numbers(timezone.now())))
