"""What is kept of a step of staff beside its entry, and the list of these steps; its indexes are next."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0024_finding_words")]
    operations = [
        migrations.CreateModel(
            name="StaffAction",
            fields=[],
            options={"proxy": True, "default_permissions": ["view"], "indexes": [], "constraints": []},
            bases=("orders.journalentry",),
        ),
        migrations.CreateModel(
            name="StepDetail",
            fields=[
                (
                    "entry",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="detail",
                        serialize=False,
                        to="orders.journalentry",
                    ),
                ),
                ("subject_kind", models.CharField(blank=True, db_default="", default="", max_length=20)),
                ("subject_id", models.CharField(blank=True, db_default="", default="", max_length=64)),
                ("address", models.CharField(blank=True, db_default="", default="", max_length=45)),
                ("times", models.PositiveIntegerField(db_default=1, default=1)),
                ("last_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={"default_permissions": []},
        ),
        migrations.AddIndex(
            model_name="stepdetail",
            index=models.Index(
                condition=models.Q(("subject_kind", ""), _negated=True),
                fields=["subject_kind", "subject_id", "entry"],
                name="stepdetail_subject",
            ),
        ),
    ]
