"""An execution is known by its order and upstream's id: several orders may report one."""

import django.db.models.functions.comparison
from django.db import migrations, models

from backoffice.schema.operations import AddConstraint, AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0010_execution_id")]
    operations = [
        AddConstraint(
            model_name="execution",
            constraint=models.UniqueConstraint(
                models.F("order"),
                django.db.models.functions.comparison.Coalesce("execution_id", "id"),
                name="execution_of_order",
            ),
        ),
        AddIndex(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("execution_id__isnull", False)),
                fields=["execution_id"],
                name="execution_shared",
            ),
        ),
    ]
