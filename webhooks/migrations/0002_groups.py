"""The groups of staff: who may look, who may act, who may take data away."""

from django.db import migrations

VIEW = [
    ("orders", "portfolioorder", "view_portfolioorder", "Can view portfolio order"),
    ("orders", "order", "view_order", "Can view order"),
    ("orders", "execution", "view_execution", "Can view execution"),
    ("orders", "journalentry", "view_journalentry", "Can view journal entry"),
    ("webhooks", "delivery", "view_delivery", "Can view delivery"),
]
REFETCH = ("orders", "portfolioorder", "refetch_portfolioorder", "Can refetch orders from the broker")
EXPORT = ("orders", "portfolioorder", "export_history", "Can export orders and their history")
PAYLOAD = ("orders", "portfolioorder", "view_payload", "Can view raw payloads")
NOTE = ("orders", "portfolioorder", "add_note", "Can add notes to orders")
REPLAY = (
    "webhooks",
    "delivery",
    "replay_delivery",
    "Can process deliveries and quarantined events again",
)
GROUPS = {
    "Viewer": VIEW,
    "Operator": [*VIEW, REFETCH, EXPORT, NOTE, REPLAY],
    "Auditor": [*VIEW, EXPORT, PAYLOAD],
    "Trader": [*VIEW, REFETCH, NOTE],
}


def make_groups(apps, schema_editor):
    """Make the groups; permissions are made too, for Django makes them only after all migrations."""
    group = apps.get_model("auth", "Group")
    for name, permissions in GROUPS.items():
        made, _ = group.objects.get_or_create(name=name)
        made.permissions.add(*(_permission(apps, *permission) for permission in permissions))


def _permission(apps, app_label, model, codename, name):
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label=app_label, model=model
    )
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type, codename=codename, defaults={"name": name}
    )
    return permission


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0001_initial"),
        ("orders", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
