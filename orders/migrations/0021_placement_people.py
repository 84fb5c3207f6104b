"""Placements keep the user ids of who submitted and decided, cancellations their reason."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("orders", "0020_done_at"),
    ]

    operations = [
        migrations.AddField(
            model_name='cancellation',
            name='because',
            field=models.CharField(blank=True, db_default='', default='', max_length=1000),
        ),
        migrations.AddField(
            model_name='placement',
            name='decided_by_id',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='placement',
            name='submitted_by_id',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='cancellation',
            name='state',
            field=models.CharField(choices=[('READY', 'To be sent'), ('UNKNOWN', 'No answer yet'), ('TAKEN', 'Accepted by the broker'), ('REFUSED', 'Refused by the broker')], max_length=8),
        ),
        migrations.AlterField(
            model_name='placement',
            name='state',
            field=models.CharField(choices=[('PROPOSED', 'Waiting for approval'), ('READY', 'To be sent'), ('UNKNOWN', 'Result unknown'), ('ACCEPTED', 'Accepted'), ('REFUSED', 'Refused'), ('DECLINED', 'Declined'), ('NOT_PLACED', 'Not placed')], max_length=12),
        ),
    ]
