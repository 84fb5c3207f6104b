"""An index for webhook events of rare topics: executions have become a topic of their own, and they are many."""

from django.db import migrations, models

from backoffice.schema.operations import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0026_staff_indexes")]
    operations = [
        AddIndex(
            model_name="journalentry",
            index=models.Index(
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(
                    ("source", "WEBHOOK"),
                    models.Q(("type__startswith", "ORDER."), _negated=True),
                    models.Q(("type__startswith", "PORTFOLIO_ORDER."), _negated=True),
                    models.Q(("type__startswith", "EXECUTION."), _negated=True),
                ),
                name="journalentry_rare_topic",
            ),
        ),
    ]
