"""The address that a delivery came from."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0010_inbox_indexes")]
    operations = [
        migrations.AddField(
            model_name="delivery",
            name="sender",
            field=models.CharField(blank=True, db_default="", default="", max_length=45),
        ),
    ]
