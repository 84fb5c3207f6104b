"""An outcome for events that staff dismissed from quarantine: the check of the outcomes goes, and comes back with it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0021_placement_people")]
    operations = [
        migrations.RemoveConstraint(model_name="journalentry", name="journalentry_outcome"),
        migrations.AlterField(
            model_name="journalentry",
            name="outcome",
            field=models.CharField(choices=[("PENDING", "Pending"), ("APPLIED", "Applied"), ("NO_CHANGE", "No change"), ("IGNORED", "Ignored"), ("QUARANTINED", "Quarantined"), ("DISMISSED", "Dismissed"), ("FAILED", "Failed"), ("NOTED", "Noted")], max_length=12),
        ),
    ]
