"""The pages of second factors: to look at, for nobody makes or changes one there."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice.access.pages import Button, FramedPages
from backoffice.display import clock


class DeviceAdmin(FramedPages):
    """Devices to look at: they are made by their owners, and reset on the page of the user."""

    list_display = ("user", "name", "in_use")
    search_fields = ("user__username",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """No fields: what may be told is among the facts."""
        return []

    def heading(self, row: Any) -> str:
        """Whose it is."""
        return f"{row.name} of {row.user.get_username()}"

    def facts(self, request: HttpRequest, row: Any) -> list[tuple[str, Any]]:
        """All that may be told of it: no secret, and no code."""
        return [
            ("User", self._owner(request, row)),
            ("In use", "Yes" if row.confirmed else "Not confirmed yet"),
            ("Set up", clock(row.created_at)),
            ("Last used", clock(row.last_used_at) if row.last_used_at else "Never"),
        ]

    def buttons(self, request: HttpRequest, row: Any) -> list[Button]:
        """None: what was done with it is among the staff actions."""
        return []

    def _owner(self, request: HttpRequest, row: Any) -> SafeString | str:
        name: str = row.user.get_username()
        if not request.user.has_perm("auth.view_user"):
            return name
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:auth_user_change", args=[row.user_id]), name
        )

    @admin.display(description="In use", boolean=True)
    def in_use(self, row: Any) -> bool:
        """Whether its codes count."""
        return bool(row.confirmed)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class AuthenticatorAdmin(DeviceAdmin):
    """Authenticators to look at."""

    kind, list_title = "Authenticator", "Authenticators"


class BackupCodesAdmin(DeviceAdmin):
    """Sets of backup codes to look at."""

    kind, list_title = "Set of backup codes", "Backup codes"

    def facts(self, request: HttpRequest, row: Any) -> list[tuple[str, Any]]:
        """Add how many are left."""
        return [*super().facts(request, row), ("Codes left", row.token_set.count())]


for model, admin_class in ((TOTPDevice, AuthenticatorAdmin), (StaticDevice, BackupCodesAdmin)):
    admin.site.unregister(model)
    admin.site.register(model, admin_class)
