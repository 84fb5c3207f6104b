"""What staff see of the webhook feed: its events and the requests that brought them. Doors only."""

from webhooks.admin import deliveries, events

__all__ = ["deliveries", "events"]
