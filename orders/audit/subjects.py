"""What a step of staff can be about, beside an order or a placement. Pure.

A subject is a kind with the key of its row; its page is found by Django's names of admin pages.
"""

from typing import NamedTuple


class Subject(NamedTuple):
    """A row that a step is about."""

    kind: str
    key: str


# The kind -> what people call it, and the name of its page.
PAGES = {
    "portfolio_order": ("Portfolio order", "admin:orders_portfolioorder_change"),
    "order": ("Order", "admin:orders_order_change"),
    "placement": ("Placement", "admin:orders_placement_change"),
    "cancellation": ("Cancellation", "admin:orders_cancellation_change"),
    "reconciliation": ("Reconciliation", "admin:orders_reconciliation_change"),
    "entry": ("Entry", "admin:orders_journalentry_change"),
    "delivery": ("Delivery", "admin:webhooks_delivery_change"),
    "subscription": ("Subscription", "admin:webhooks_subscription_change"),
    "user": ("User", "admin:auth_user_change"),
    "group": ("Group", "admin:auth_group_change"),
}
