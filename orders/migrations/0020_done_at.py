"""An index for what was filled or settled since a moment: the number on Today and the list behind it."""

from django.db import migrations, models
from django.db.models.functions import Coalesce

from backoffice.schema.operations import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0019_cancelled_executed")]
    operations = [
        AddIndex(
            model_name="portfolioorder",
            index=models.Index(
                Coalesce("filled_at", "settled_at"), name="portfolioorder_done_at"
            ),
        ),
    ]
