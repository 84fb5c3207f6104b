"""Orders that are cancelled and were executed in full all the same: those that are here get the flag, too."""

from collections import defaultdict

from django.db import migrations
from django.db.models import F

from orders.executions import is_cancelled_in_vain
from orders.lifecycle import CANCELLED_EXECUTED

AT_ONCE = 1000


def flag(apps, schema_editor):
    """Flag them, a portion in each statement; what is flagged already stays so."""
    order_model, execution_model = (apps.get_model("orders", it) for it in ("Order", "Execution"))
    cancelled = order_model.objects.filter(status="CANCELLED").order_by("pk")
    orders = list(cancelled[:AT_ONCE])
    while orders:
        trades = defaultdict(list)
        for trade in execution_model.objects.filter(order__in=[order.pk for order in orders]):
            trades[trade.order_id].append(trade)
        found = [order.pk for order in orders if is_cancelled_in_vain(order, trades[order.pk])]
        rows = order_model.objects.filter(pk__in=found, status="CANCELLED")
        rows.update(problems=F("problems").bitor(CANCELLED_EXECUTED))
        orders = list(cancelled.filter(pk__gt=orders[-1].pk)[:AT_ONCE])


class Migration(migrations.Migration):
    atomic = False
    reviewed = {"RunPython": "short statements on a thousand rows each, and the same again if repeated"}
    dependencies = [("orders", "0018_derive_fills")]
    operations = [migrations.RunPython(flag, migrations.RunPython.noop)]
