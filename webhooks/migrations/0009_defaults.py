"""Give every column that has a default in the code one in the database: a release may leave it out."""

import backoffice.schema.operations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('webhooks', '0008_inbox'),
    ]

    operations = [
        backoffice.schema.operations.SetDefaults(
            model_name='delivery',
            fields={'events': models.PositiveIntegerField(db_default=0, default=0), 'headers': models.JSONField(blank=True, db_default={}, default=dict), 'key_id': models.CharField(blank=True, db_default='', default='', max_length=64), 'reason': models.TextField(blank=True, db_default='', default=''), 'repeats': models.PositiveIntegerField(db_default=0, default=0), 'size': models.PositiveBigIntegerField(db_default=0, default=0)},
        ),
        backoffice.schema.operations.SetDefaults(
            model_name='feedwatch',
            fields={'differs': models.CharField(blank=True, db_default='', default='', max_length=200), 'error': models.CharField(blank=True, db_default='', default='', max_length=400), 'found': models.CharField(blank=True, db_default='', default='', max_length=12)},
        ),
        backoffice.schema.operations.SetDefaults(
            model_name='subscription',
            fields={'config': models.JSONField(blank=True, db_default={}, default=dict), 'enabled': models.BooleanField(db_default=False, default=False), 'excluded_topics': models.JSONField(blank=True, db_default=[], default=list), 'title': models.CharField(blank=True, db_default='', default='', max_length=100), 'topics': models.JSONField(blank=True, db_default=[], default=list), 'url': models.CharField(blank=True, db_default='', default='', max_length=1000)},
        ),
    ]
