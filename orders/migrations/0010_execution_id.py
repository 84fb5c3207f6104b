"""The id of an execution that another order reports, too. NULL, as earlier releases leave it: its id is upstream's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0009_unreadable_attributes")]
    operations = [
        migrations.AddField(
            model_name="execution",
            name="execution_id",
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
    ]
