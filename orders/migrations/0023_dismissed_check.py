"""The check of the outcomes of an entry, with those that staff dismissed, and an index for the list of these."""

from django.db import migrations, models

from backoffice.schema.operations import AddConstraint, AddIndex

OUTCOMES = ["PENDING", "APPLIED", "NO_CHANGE", "IGNORED", "QUARANTINED", "DISMISSED", "FAILED", "NOTED"]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0022_dismissed")]
    operations = [
        AddIndex(
            model_name="journalentry",
            index=models.Index(
                models.F("id").desc(),
                condition=models.Q(outcome="DISMISSED"),
                name="journalentry_dismissed",
            ),
        ),
        AddConstraint(
            model_name="journalentry",
            constraint=models.CheckConstraint(
                condition=models.Q(outcome__in=OUTCOMES), name="journalentry_outcome"
            ),
        ),
    ]
