"""What the groups may do since orders are placed, cancelled and reconciled here, and subscriptions set up."""

from importlib import import_module

from django.db import migrations

permission_of = import_module("webhooks.migrations.0002_groups")._permission

VIEW = [
    ("orders", "placement", "view_placement", "Can view placement"),
    ("orders", "cancellation", "view_cancellation", "Can view cancellation"),
    ("orders", "reconciliation", "view_reconciliation", "Can view reconciliation"),
    ("orders", "finding", "view_finding", "Can view finding"),
    ("webhooks", "subscription", "view_subscription", "Can view subscription"),
]
PLACE = ("orders", "placement", "place_portfolioorder", "Can place portfolio orders")
APPROVE = ("orders", "placement", "approve_placement", "Can approve what another person wants to place")
CANCEL = ("orders", "cancellation", "cancel_portfolioorder", "Can ask the broker to cancel orders")
RECONCILE = ("orders", "reconciliation", "reconcile", "Can reconcile orders with the broker")
SUBSCRIBE = (
    "webhooks",
    "subscription",
    "manage_subscription",
    "Can set up, test and delete webhook subscriptions",
)
GROUPS = {
    "Viewer": VIEW,
    "Operator": [*VIEW, RECONCILE, SUBSCRIBE],
    "Auditor": VIEW,
    "Trader": [*VIEW, PLACE, APPROVE, CANCEL],
}


def extend_groups(apps, schema_editor):
    """Add to the groups that are still there; one that was removed or renamed stays so."""
    for group in apps.get_model("auth", "Group").objects.filter(name__in=GROUPS):
        group.permissions.add(*(permission_of(apps, *it) for it in GROUPS[group.name]))


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0004_subscription"),
        ("orders", "0004_placing_cancelling_reconciliation"),
    ]
    operations = [migrations.RunPython(extend_groups, migrations.RunPython.noop)]
