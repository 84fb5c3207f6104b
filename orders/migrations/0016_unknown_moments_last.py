"""The newest first, and what was placed at an unknown moment last; the indexes of the order before go."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0015_newest_first")]
    operations = [
        migrations.AlterModelOptions(
            name='order',
            options={'ordering': [models.OrderBy(models.F('created_at'), descending=True, nulls_last=True), '-id']},
        ),
        migrations.AlterModelOptions(
            name='portfolioorder',
            options={'ordering': [models.OrderBy(models.F('created_at'), descending=True, nulls_last=True), '-id'], 'permissions': [('refetch_portfolioorder', 'Can refetch orders from the broker'), ('export_history', 'Can export orders and their history'), ('view_payload', 'Can view raw payloads'), ('add_note', 'Can add notes to orders')]},
        ),
        migrations.RemoveIndex(
            model_name='order',
            name='order_newest',
        ),
        migrations.RemoveIndex(
            model_name='order',
            name='order_instrument',
        ),
        migrations.RemoveIndex(
            model_name='portfolioorder',
            name='portfolioorder_newest',
        ),
        migrations.RemoveIndex(
            model_name='portfolioorder',
            name='portfolioorder_status',
        ),
    ]
