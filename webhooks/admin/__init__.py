"""What staff see of the webhook feed: its events, the requests that brought them, the subscriptions. Doors only."""

from webhooks.admin import deliveries, events, subscriptions

__all__ = ["deliveries", "events", "subscriptions"]
