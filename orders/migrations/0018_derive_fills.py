"""Give a fill time to what was first learned as settled: from its executions, or from its orders."""

from django.db import migrations, transaction

from orders import fills

CHUNK = 500  # rows in one transaction


def derive(apps, schema_editor):
    """Derive the fill time of orders, then of portfolio orders, which follows from that of their orders."""
    order, portfolio_order, execution = (
        apps.get_model("orders", name) for name in ("Order", "PortfolioOrder", "Execution")
    )
    for rows in _without(order):
        executions = _by(execution, "order_id", rows)
        _write(order, [row for row in rows if fills.derive(row, fills.of_order(row, executions[row.pk]))])
    for rows in _without(portfolio_order):
        orders = _by(order, "portfolio_order_id", rows)
        _write(
            portfolio_order,
            [row for row in rows if fills.derive(row, fills.of_portfolio_order(row, orders[row.pk]))],
        )


def _without(model):
    """Yield the filled rows without a fill time, locked, some at a time: each is looked at once."""
    last = None
    while True:
        with transaction.atomic():
            rows = model.objects.filter(status__in=fills.FILLED, filled_at=None).order_by("pk")
            after = rows.filter(pk__gt=last) if last else rows
            found = list(after.select_for_update()[:CHUNK])
            if not found:
                return
            yield found
            last = found[-1].pk


def _by(model, column, rows):
    of_each = {row.pk: [] for row in rows}
    for it in model.objects.filter(**{f"{column}__in": [*of_each]}):
        of_each[getattr(it, column)].append(it)
    return of_each


def _write(model, rows):
    model.objects.bulk_update(rows, ["filled_at", "is_fill_derived"])


class Migration(migrations.Migration):
    atomic = False
    reviewed = {
        "RunPython": "locks 500 rows at a time, and only those that are filled without a fill time",
    }
    dependencies = [("orders", "0017_fill_is_derived")]
    operations = [migrations.RunPython(derive, migrations.RunPython.noop)]
