from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0005_lz4'),
    ]

    operations = [
        migrations.AddField(
            model_name='placement',
            name='unanswered_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
