"""The pages of groups: what each lets its members do, in words, and who they are."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from backoffice.access.boxes import NONE, PermissionsField, in_words
from backoffice.access.pages import FramedPages
from backoffice.access.permissions import grantable


class GroupsAdmin(FramedPages, GroupAdmin):
    """Groups, with the permissions of each."""

    kind, list_title = "Group", "Groups"
    gone_with_it = ("Its members lose the permissions that they have only through this group.",)
    list_display = ("name", "members")
    readonly_fields = ("in_words",)
    filter_horizontal = ()  # its two boxes need a script, and label their search with a mere span

    def facts(self, request: HttpRequest, row: Group) -> list[tuple[str, Any]]:
        """Who is in it."""
        return [("Members", self._links(request, row))]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the groups with their members."""
        return super().get_queryset(request).prefetch_related("user_set")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields; permissions in words for those who may not change them."""
        may = obj is None or self.has_change_permission(request, obj)
        if not may:
            return (("Permissions", {"fields": ("in_words",)}),)
        return (("Name and permissions", {"fields": ("name", "permissions")}),)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return a field; permissions as boxes to tick."""
        if db_field.name != "permissions":
            return super().formfield_for_dbfield(db_field, request, **kwargs)
        return PermissionsField(
            queryset=grantable(), required=False, label="Members of this group may"
        )

    @admin.display(description="Members of this group may")
    def in_words(self, row: Group) -> SafeString | str:
        """What the group lets its members do."""
        return in_words(row.permissions.select_related("content_type"))

    @admin.display(description="Members")
    def members(self, row: Group) -> str:
        """Their names."""
        return ", ".join(sorted(it.get_username() for it in row.user_set.all())) or NONE

    def _links(self, request: HttpRequest, row: Group) -> SafeString | str:
        users = sorted(row.user_set.all(), key=lambda it: it.get_username())
        if not request.user.has_perm("auth.view_user") or not users:
            return self.members(row)
        links = (
            (reverse("admin:auth_user_change", args=[it.pk]), it.get_username()) for it in users
        )
        return format_html_join(", ", '<a href="{}">{}</a>', links)


admin.site.unregister(Group)
admin.site.register(Group, GroupsAdmin)
