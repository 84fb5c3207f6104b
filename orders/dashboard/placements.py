"""What the dashboard asks the database about placements that wait for a person."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models.expressions import Combinable

from backoffice import admin
from backoffice.together import Rows, first
from orders.models import Placement, PlacementState


def questions(now: datetime) -> dict[str, Combinable]:
    """Return the questions: how many wait for approval, and of how many the fate is unknown since when."""
    proposed = Placement.objects.filter(state=PlacementState.PROPOSED)
    unknown = Placement.objects.of_unknown_fate(now=now)
    return {
        "placements_proposed": Rows(proposed, admin.CAP + 1),
        "placements_unknown": Rows(unknown, admin.CAP + 1),
        "placement_unknown_since": first(unknown.order_by("submitted_at"), "first_sent_at"),
    }


def waiting(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return what waits for a person, of the numbers of the dashboard."""
    since = held["placement_unknown_since"]
    return {
        "proposed": held["placements_proposed"],
        "unknown": held["placements_unknown"],
        "oldest_for": held["at"] - since if since else None,
    }
