"""Choosing groups and permissions: boxes to tick, permissions in plain words and in groups of the sidebar."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.forms.models import ModelChoiceIterator
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from backoffice.access import permissions
from backoffice.asked import KeyChoices
from backoffice.sidebar import group_of

NONE = "None"


class Boxes(forms.CheckboxSelectMultiple):
    """Boxes to tick, those of each group below its name."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Show them; the project's own templates are not among those of Django's forms."""
        context = self.get_context(name, value, attrs)
        return render_to_string("admin/access/boxes.html", context)


class PermissionIterator(ModelChoiceIterator):
    """The permissions by group of the sidebar."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the name of each group with its choices."""
        for name, rows in by_subject(self.queryset):
            yield name, [self.choice(it) for it in rows]


class PermissionsField(KeyChoices):
    """Permissions to choose from, in words."""

    iterator = PermissionIterator
    widget = Boxes

    def label_from_instance(self, obj: Any) -> str:
        """Return what a permission lets people do."""
        return permissions.label(obj)


def by_subject(rows: Iterable[Permission]) -> list[tuple[str, list[Permission]]]:
    """Return permissions by the names of the sidebar's groups, in its order; those to view come first."""
    request = HttpRequest()
    request.user = User(is_active=True, is_superuser=True)
    names = {it["app_label"]: str(it["name"]) for it in admin.site.get_app_list(request)}
    order = [*names]

    def subject(it: Permission) -> str:
        app = it.content_type.app_label
        return names.get(group_of(app), app.capitalize())

    def place(it: Permission) -> tuple[int, str, bool, str]:
        group = group_of(it.content_type.app_label)
        nth = order.index(group) if group in names else len(order)
        return nth, subject(it), not permissions.is_view(it), permissions.label(it)

    return [(name, list(found)) for name, found in groupby(sorted(rows, key=place), key=subject)]


def in_words(rows: Iterable[Permission]) -> SafeString | str:
    """Return permissions as lists, for those who may only look at them."""
    found = by_subject(rows)
    if not found:
        return NONE
    lists = (
        (name, format_html_join("", "<li>{}</li>", ((permissions.label(it),) for it in of)))
        for name, of in found
    )
    return format_html(
        '<div class="permissions">{}</div>', format_html_join("", "<p>{}</p><ul>{}</ul>", lists)
    )
