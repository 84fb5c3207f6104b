"""The indexes of the inbox, built while deliveries come in."""

from django.db import migrations, models

from backoffice.schema.operations import AddConstraint, AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("webhooks", "0009_defaults")]
    operations = [
        AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("read_at", None)), fields=["id"], name="delivery_unread"
            ),
        ),
        AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("same_body_as__isnull", False)),
                fields=["same_body_as"],
                name="delivery_same_body",
            ),
        ),
        AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                condition=models.Q(("body__isnull", False)),
                fields=("fingerprint",),
                name="delivery_body",
            ),
        ),
    ]
