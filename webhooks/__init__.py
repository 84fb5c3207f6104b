"""The way in: signed deliveries from upstream."""
