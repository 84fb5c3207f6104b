"""Portfolio orders that are cancelled and of which every order was executed in full: those that are here get the flag."""

from collections import defaultdict

from django.db import migrations
from django.db.models import F

from orders.from_orders import is_cancelled_in_vain
from orders.lifecycle import CANCELLED_EXECUTED

AT_ONCE = 500


def flag(apps, schema_editor):
    """Flag them, a portion in each statement; what is flagged already stays so."""
    portfolio_order, order = (apps.get_model("orders", it) for it in ("PortfolioOrder", "Order"))
    cancelled = portfolio_order.objects.filter(status="CANCELLED").order_by("pk")
    rows = list(cancelled[:AT_ONCE])
    while rows:
        orders = defaultdict(list)
        of_these = order.objects.filter(portfolio_order_id__in=[row.pk for row in rows])
        for it in of_these.only("portfolio_order_id", "status", "problems"):
            orders[it.portfolio_order_id].append(it)
        found = [row.pk for row in rows if is_cancelled_in_vain(row, orders[row.pk])]
        in_vain = portfolio_order.objects.filter(pk__in=found, status="CANCELLED")
        in_vain.update(problems=F("problems").bitor(CANCELLED_EXECUTED))
        rows = list(cancelled.filter(pk__gt=rows[-1].pk)[:AT_ONCE])


class Migration(migrations.Migration):
    atomic = False
    reviewed = {"RunPython": "short statements on 500 rows each, and the same again if repeated"}
    dependencies = [("orders", "0029_source_words")]
    operations = [migrations.RunPython(flag, migrations.RunPython.noop)]
