"""Indexes of what people search for by its beginning: the venue of executions, the request that ended a reconciliation."""

from django.db import migrations, models
from django.db.models import Value
from django.db.models.functions import Coalesce, NullIf, StrIndex, Substr

from backoffice.beginnings import Bytewise
from backoffice.schema.operations import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0031_refetch_word")]
    operations = [
        AddIndex(
            model_name="execution",
            index=models.Index(Bytewise("venue_id"), name="execution_venue"),
        ),
        AddIndex(
            model_name="reconciliation",
            index=models.Index(
                Bytewise(
                    Substr(
                        "reason",
                        Coalesce(
                            NullIf(StrIndex("reason", Value("(request id ")), Value(0))
                            + Value(12),
                            StrIndex("reason", Value("request ")) + Value(8),
                        ),
                        Value(64),
                    )
                ),
                name="reconciliation_request",
            ),
        ),
    ]
