import pytest
from django.contrib.auth.models import Group, Permission

pytestmark = pytest.mark.django_db

VIEW = {
    "orders.view_portfolioorder",
    "orders.view_order",
    "orders.view_execution",
    "orders.view_journalentry",
    "webhooks.view_delivery",
    "orders.view_placement",
    "orders.view_cancellation",
    "orders.view_reconciliation",
    "orders.view_finding",
    "webhooks.view_subscription",
}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("Viewer", set()),
        (
            "Operator",
            {
                "orders.refetch_portfolioorder",
                "orders.export_history",
                "orders.add_note",
                "webhooks.replay_delivery",
                "orders.reconcile",
                "webhooks.manage_subscription",
                "orders.view_staffaction",
            },
        ),
        ("Auditor", {"orders.export_history", "orders.view_payload", "orders.view_staffaction"}),
        (
            "Trader",
            {
                "orders.refetch_portfolioorder",
                "orders.add_note",
                "orders.place_portfolioorder",
                "orders.approve_placement",
                "orders.cancel_portfolioorder",
            },
        ),
    ],
)
def test_each_group_may_view_and_do_what_its_work_needs(name, more):
    permissions = Permission.objects.filter(group__name=name).select_related("content_type")

    assert {f"{it.content_type.app_label}.{it.codename}" for it in permissions} == VIEW | more


def test_no_group_may_add_change_or_delete_what_upstream_owns():
    granted = Permission.objects.filter(group__in=Group.objects.all())

    assert not granted.filter(codename__regex=r"^(change|delete)_").exists()
    assert not granted.filter(codename__startswith="add_").exclude(codename="add_note").exists()


def test_every_permission_of_a_group_is_one_that_django_knows():
    granted = Permission.objects.filter(group__in=Group.objects.all())

    for permission in granted.select_related("content_type").distinct():
        model = permission.content_type.model_class()
        assert model is not None
        assert permission.codename in {
            f"view_{model._meta.model_name}",
            *(codename for codename, _ in model._meta.permissions),
        }
