"""App configurations of the project itself."""

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules

# Imported for what loading them does: tasks of any process belong to our Celery app, and the
# system checks and the reader of moments are registered.
from backoffice import celery, checks, log, moments
from backoffice.sidebar import ACCESS

__all__ = ["BackofficeConfig", "OrderDeskAdminConfig", "celery", "checks", "moments"]


class BackofficeConfig(AppConfig):
    """The project's own app: static files, commands, system checks."""

    name = "backoffice"

    def ready(self) -> None:
        """Load what all apps register: metrics, readiness, what drains read. Name the apps that staff see."""
        log.install()
        autodiscover_modules("metrics", "readiness", "reading", "audited")
        for label in ACCESS:
            apps.get_app_config(label).verbose_name = "Access"
        post_migrate.connect(make_permission, sender=apps.get_app_config("auth"))


def make_permission(*, using: str, apps: Any = apps, **_: Any) -> None:
    """Make the permission to let colleagues in again: users are Django's, and have none for it."""
    try:
        users = apps.get_model("contenttypes", "ContentType")
        permissions = apps.get_model("auth", "Permission")
    except LookupError:  # their tables are not there yet
        return
    of_users, _ = users.objects.using(using).get_or_create(app_label="auth", model="user")
    permissions.objects.using(using).get_or_create(
        content_type=of_users,
        codename="reset_second_factor",
        defaults={"name": "Can reset a colleague's second factor and unlock log-ins"},
    )


class OrderDeskAdminConfig(AdminConfig):
    """Django's admin, with our site as the default one."""

    default = False
    default_site = "backoffice.admin.OrderDeskAdminSite"

    def ready(self) -> None:
        """Register what the apps bring, then our pages of users, groups and devices in place of the stock ones."""
        super().ready()
        autodiscover_modules("access.users", "access.groups", "access.devices")
