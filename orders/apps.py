"""App configuration."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """Portfolio orders, orders and their journal."""

    name = "orders"
    default_auto_field = "django.db.models.BigAutoField"
