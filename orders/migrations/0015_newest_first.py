"""Indexes for the newest first with what was placed at an unknown moment last: on PostgreSQL NULL came first."""

from django.db import migrations, models

from backoffice.moments import MomentIndex
from backoffice.schema.operations import AddIndex


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0014_pulse")]
    operations = [
        AddIndex(
            model_name='order',
            index=MomentIndex(models.OrderBy(models.F('created_at'), descending=True, nulls_last=True), models.OrderBy(models.F('id'), descending=True), name='order_latest'),
        ),
        AddIndex(
            model_name='order',
            index=MomentIndex(models.F('instrument_id'), models.OrderBy(models.F('created_at'), descending=True, nulls_last=True), name='order_by_instrument'),
        ),
        AddIndex(
            model_name='portfolioorder',
            index=MomentIndex(models.OrderBy(models.F('created_at'), descending=True, nulls_last=True), models.OrderBy(models.F('id'), descending=True), name='portfolioorder_latest'),
        ),
        AddIndex(
            model_name='portfolioorder',
            index=MomentIndex(models.F('status'), models.OrderBy(models.F('created_at'), descending=True, nulls_last=True), models.OrderBy(models.F('id'), descending=True), name='portfolioorder_by_status'),
        ),
    ]
