"""App configuration."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """Deliveries from upstream."""

    name = "webhooks"
    default_auto_field = "django.db.models.BigAutoField"
