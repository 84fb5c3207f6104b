"""Compress the bodies of deliveries as the payloads of the journal are."""

from importlib import import_module

from django.db import migrations

compress = import_module("orders.migrations.0005_lz4").compress


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0005_groups_that_write"), ("orders", "0005_lz4")]
    operations = [compress("webhooks_delivery", "body")]
