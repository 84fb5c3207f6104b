"""Indexes of what people search for by an id or a reference: allocations, users, accounts, the broker's requests."""

from django.db import migrations, models
from django.db.models import Value
from django.db.models.functions import Coalesce, NullIf, StrIndex, Substr

from backoffice.beginnings import Bytewise
from backoffice.schema.operations import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0027_rare_topic")]
    operations = [
        AddIndex(
            model_name="portfolioorder",
            index=models.Index(
                condition=models.Q(("allocation_id__isnull", False)),
                fields=["allocation_id"],
                name="portfolioorder_allocation",
            ),
        ),
        AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(
                    models.Q(("client_reference", ""), _negated=True),
                    models.Q(("initiation_flow", "PORTFOLIO"), _negated=True),
                ),
                fields=["client_reference"],
                name="order_reference",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        AddIndex(
            model_name="placement",
            index=models.Index(fields=["user_id"], name="placement_user"),
        ),
        AddIndex(
            model_name="reconciliation",
            index=models.Index(
                condition=models.Q(("account_id__isnull", False)),
                fields=["account_id"],
                name="reconciliation_account",
            ),
        ),
        AddIndex(
            model_name="journalentry",
            index=models.Index(
                Bytewise(
                    Substr(
                        "message",
                        Coalesce(
                            NullIf(StrIndex("message", Value("(request id ")), Value(0))
                            + Value(12),
                            StrIndex("message", Value("request ")) + Value(8),
                        ),
                        Value(64),
                    )
                ),
                condition=models.Q(("source", "WEBHOOK"), _negated=True),
                name="journalentry_request",
            ),
        ),
    ]
