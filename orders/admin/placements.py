"""The list of placements and the page of one."""

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from orders.admin.journal import readable
from orders.admin.pages import PAYLOAD
from orders.admin.placement_decisions import PlacementDecisions
from orders.admin.placement_form import PlacementForms
from orders.admin.placement_list import PlacementList
from orders.audit.subjects import Subject
from orders.audited import note_view
from orders.models import JournalEntry, Placement, PlacementState
from orders.placing.precedents import precedents
from orders.placing.refusal import problem_of
from orders.placing.usual import unusual
from orders.placing.words import sentence


@admin.register(Placement)
class PlacementAdmin(PlacementForms, PlacementDecisions, PlacementList):
    """Place portfolio orders, and see the result of each that was placed here."""

    change_form_template = "admin/orders/placement/change_form.html"

    def page(self, request: HttpRequest, row: Placement) -> dict[str, Any]:
        """Return where it stands, what can be done about it, its steps, and to those who may its body."""
        may_read = request.user.has_perm(PAYLOAD)
        if may_read:
            subject = Subject("placement", str(row.pk))
            note_view(request.user, "the request of a placement as it was sent", subject)
        is_proposed = row.state == PlacementState.PROPOSED
        return {
            **self.choices_for(request, row),
            "sentence": sentence(row, now=timezone.now()),
            "unusual": unusual(row) if is_proposed else None,
            "precedents": precedents(row, key=row.pk, now=row.submitted_at) if is_proposed else (),
            "steps": steps_of(row),
            "problem": problem_of(bytes(row.problem)),
            "raw_problem": readable(row.problem) if may_read else "",
            "body": bytes(row.body).decode() if may_read else "",
        }


def steps_of(placement: Placement) -> Sequence[tuple[date, Sequence[JournalEntry]]]:
    """Return the journal's entries of a placement by day, the newest first: one query, from an index."""
    entries = JournalEntry.objects.filter(placement_id=placement.pk).order_by("-id")
    days = groupby(entries.defer("payload"), lambda entry: timezone.localdate(entry.recorded_at))
    return [(day, list(entries)) for day, entries in days]
