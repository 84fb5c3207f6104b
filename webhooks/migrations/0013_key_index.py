"""An index of the keys that signed deliveries: the list is searched by them."""

from django.db import migrations, models

from backoffice.schema.operations import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("webhooks", "0012_groups_that_audit")]
    operations = [
        AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("key_id", ""), _negated=True),
                fields=["key_id"],
                name="delivery_key",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
    ]
