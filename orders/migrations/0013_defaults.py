"""Give every column that has a default in the code one in the database: a release may leave it out."""

import backoffice.schema.operations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0012_execution_order_index'),
    ]

    operations = [
        backoffice.schema.operations.SetDefaults(
            model_name='cancellation',
            fields={'attempts': models.PositiveSmallIntegerField(db_default=0, default=0), 'reason': models.CharField(blank=True, db_default='', default='', max_length=2000)},
        ),
        backoffice.schema.operations.SetDefaults(
            model_name='execution',
            fields={'cash_amount': models.CharField(blank=True, db_default='', default='', max_length=92), 'currency': models.CharField(blank=True, db_default='', default='', max_length=255), 'fact': models.CharField(blank=True, db_default='', default='', max_length=80), 'price': models.CharField(blank=True, db_default='', default='', max_length=92), 'share_quantity': models.CharField(blank=True, db_default='', default='', max_length=92), 'side': models.CharField(blank=True, db_default='', default='', max_length=255), 'status': models.CharField(blank=True, db_default='', default='', max_length=255), 'tax': models.CharField(blank=True, db_default='', default='', max_length=92), 'venue_id': models.CharField(blank=True, db_default='', default='', max_length=255)},
        ),
        backoffice.schema.operations.SetDefaults(
            model_name='finding',
            fields={'detail': models.TextField(blank=True, db_default='', default='')},
        ),
        backoffice.schema.operations.SetDefaults(
            model_name='journalentry',
            fields={'actor': models.CharField(blank=True, db_default='', default='', max_length=150), 'message': models.TextField(blank=True, db_default='', default=''), 'payload': models.BinaryField(db_default=b'', default=b''), 'status': models.CharField(blank=True, db_default='', default='', max_length=255), 'type': models.CharField(blank=True, db_default='', default='', max_length=255)},
        ),
        backoffice.schema.operations.SetDefaults(
            model_name='order',
            fields={'announced': models.CharField(blank=True, db_default='', default='', max_length=64), 'cancellation_reason': models.CharField(blank=True, db_default='', default='', max_length=255), 'cash_amount': models.CharField(blank=True, db_default='', default='', max_length=92), 'check_error': models.CharField(blank=True, db_default='', default='', max_length=200), 'checks': models.PositiveSmallIntegerField(db_default=0, default=0), 'client_reference': models.CharField(blank=True, db_default='', default='', max_length=500), 'currency': models.CharField(blank=True, db_default='', default='', max_length=255), 'execution_flow': models.CharField(blank=True, db_default='', default='', max_length=255), 'fact': models.CharField(blank=True, db_default='', default='', max_length=80), 'fee': models.CharField(blank=True, db_default='', default='', max_length=92), 'heard_via': models.CharField(blank=True, choices=[('WEBHOOK', 'Webhook'), ('POLL', 'Scheduled poll'), ('REFETCH', 'Manual refetch'), ('STAFF', 'Staff')], db_default='', default='', max_length=8), 'initiation_flow': models.CharField(blank=True, db_default='', default='', max_length=255), 'instrument_id': models.CharField(blank=True, db_default='', default='', max_length=255), 'limit_price': models.CharField(blank=True, db_default='', default='', max_length=92), 'order_type': models.CharField(blank=True, db_default='', default='', max_length=255), 'problems': models.PositiveSmallIntegerField(db_default=0, default=0), 'quantity': models.CharField(blank=True, db_default='', default='', max_length=92), 'side': models.CharField(blank=True, db_default='', default='', max_length=255), 'status': models.CharField(blank=True, db_default='', default='', max_length=255), 'stop_price': models.CharField(blank=True, db_default='', default='', max_length=92)},
        ),
        backoffice.schema.operations.SetDefaults(
            model_name='placement',
            fields={'attempts': models.PositiveSmallIntegerField(db_default=0, default=0), 'cash_amount': models.CharField(blank=True, db_default='', default='', max_length=92), 'currency': models.CharField(blank=True, db_default='', default='', max_length=3), 'decided_by': models.CharField(blank=True, db_default='', default='', max_length=150), 'post_tax': models.BooleanField(db_default=False, default=False), 'problem': models.BinaryField(db_default=b'', default=b''), 'reason': models.TextField(blank=True, db_default='', default=''), 'side': models.CharField(blank=True, db_default='', default='', max_length=8)},
        ),
        backoffice.schema.operations.SetDefaults(
            model_name='portfolioorder',
            fields={'announced': models.CharField(blank=True, db_default='', default='', max_length=64), 'cancellation_details': models.TextField(blank=True, db_default='', default=''), 'cancellation_reason': models.CharField(blank=True, db_default='', default='', max_length=255), 'cash_amount': models.CharField(blank=True, db_default='', default='', max_length=92), 'check_error': models.CharField(blank=True, db_default='', default='', max_length=200), 'checks': models.PositiveSmallIntegerField(db_default=0, default=0), 'client_reference': models.CharField(blank=True, db_default='', default='', max_length=500), 'currency': models.CharField(blank=True, db_default='', default='', max_length=255), 'fact': models.CharField(blank=True, db_default='', default='', max_length=80), 'heard_via': models.CharField(blank=True, choices=[('WEBHOOK', 'Webhook'), ('POLL', 'Scheduled poll'), ('REFETCH', 'Manual refetch'), ('STAFF', 'Staff')], db_default='', default='', max_length=8), 'initiation_flow': models.CharField(blank=True, db_default='', default='', max_length=255), 'problems': models.PositiveSmallIntegerField(db_default=0, default=0), 'status': models.CharField(blank=True, db_default='', default='', max_length=255), 'type': models.CharField(blank=True, db_default='', default='', max_length=255)},
        ),
        backoffice.schema.operations.SetDefaults(
            model_name='reconciliation',
            fields={'compared': models.PositiveIntegerField(db_default=0, default=0), 'differing': models.PositiveIntegerField(db_default=0, default=0), 'equal': models.PositiveIntegerField(db_default=0, default=0), 'position': models.JSONField(blank=True, db_default={}, default=dict), 'reason': models.TextField(blank=True, db_default='', default=''), 'repaired': models.PositiveIntegerField(db_default=0, default=0), 'started_by': models.CharField(blank=True, db_default='', default='', max_length=150), 'stop_requested': models.BooleanField(db_default=False, default=False), 'unknown_here': models.PositiveIntegerField(db_default=0, default=0), 'unknown_there': models.PositiveIntegerField(db_default=0, default=0)},
        ),
    ]
