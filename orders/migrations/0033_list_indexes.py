"""Indexes of filters and searches that a rare value made read the whole table: type, side, status, instrument, outcome."""

from django.db import migrations, models
from django.db.models import F, OrderBy, Q

from backoffice.moments import MomentIndex
from backoffice.schema.operations import AddIndex

NEWEST = (OrderBy(F("created_at"), descending=True, nulls_last=True), OrderBy(F("id"), descending=True))


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0032_search_venues")]
    operations = [
        AddIndex(
            model_name="journalentry",
            index=models.Index(
                F("id").desc(), condition=Q(("outcome", "NO_CHANGE")), name="journalentry_no_change"
            ),
        ),
        AddIndex(
            model_name="portfolioorder",
            index=MomentIndex(F("type"), *NEWEST, name="portfolioorder_by_type"),
        ),
        AddIndex(
            model_name="order",
            index=models.Index(
                fields=["instrument_id", "portfolio_order"], name="order_instrument_of"
            ),
        ),
        AddIndex(model_name="order", index=MomentIndex(F("side"), *NEWEST, name="order_by_side")),
        AddIndex(
            model_name="order",
            index=MomentIndex(
                F("status"),
                *NEWEST,
                condition=Q(("status", "FILLED"), _negated=True),
                name="order_by_status",
            ),
        ),
    ]
