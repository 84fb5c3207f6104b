"""App configurations of the project itself."""

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.utils.module_loading import autodiscover_modules

# Imported for what loading them does: tasks of any process belong to our Celery app, and the
# system checks and the reader of moments are registered.
from backoffice import celery, checks, moments
from backoffice.sidebar import ACCESS

__all__ = ["BackofficeConfig", "OrderDeskAdminConfig", "celery", "checks", "moments"]


class BackofficeConfig(AppConfig):
    """The project's own app: static files, commands, system checks."""

    name = "backoffice"

    def ready(self) -> None:
        """Load what all apps register of metrics and readiness. Name the apps that staff see."""
        autodiscover_modules("metrics", "readiness")
        for label in ACCESS:
            apps.get_app_config(label).verbose_name = "Access"


class OrderDeskAdminConfig(AdminConfig):
    """Django's admin, with our site as the default one."""

    default = False
    default_site = "backoffice.admin.OrderDeskAdminSite"
