"""The word for what a person asks: the same on every page."""

from django.db import migrations, models

SOURCES = [
    ("WEBHOOK", "Webhook"),
    ("POLL", "Scheduled check"),
    ("REFETCH", "Refetch"),
    ("STAFF", "Staff"),
]


class Migration(migrations.Migration):
    dependencies = [("orders", "0030_cancelled_portfolio_orders")]
    operations = [
        migrations.AlterField(
            model_name="journalentry",
            name="source",
            field=models.CharField(choices=SOURCES, max_length=8),
        ),
        *(
            migrations.AlterField(
                model_name=name,
                name="heard_via",
                field=models.CharField(
                    blank=True, choices=SOURCES, db_default="", default="", max_length=8
                ),
            )
            for name in ("order", "portfolioorder")
        ),
    ]
