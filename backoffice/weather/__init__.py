"""The weather at the broker's API, for staff and for metrics."""
