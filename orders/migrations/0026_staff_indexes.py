"""The indexes of the list of what staff did, built while the journal is written to."""

from django.db import migrations, models

from backoffice.schema.operations import AddIndex

STAFF_ACTIONS = models.Q(("outcome", "NOTED"), ("source", "STAFF")) | (
    models.Q(("source", "REFETCH")) & ~models.Q(("actor", ""))
)
NEWEST = models.OrderBy(models.F("id"), descending=True)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0025_staff_actions")]
    operations = [
        AddIndex(
            model_name="journalentry",
            index=models.Index(NEWEST, condition=STAFF_ACTIONS, name="journalentry_staff"),
        ),
        AddIndex(
            model_name="journalentry",
            index=models.Index(
                models.F("actor"), NEWEST, condition=STAFF_ACTIONS, name="journalentry_person"
            ),
        ),
        AddIndex(
            model_name="journalentry",
            index=models.Index(
                models.F("type"), NEWEST, condition=STAFF_ACTIONS, name="journalentry_action"
            ),
        ),
    ]
