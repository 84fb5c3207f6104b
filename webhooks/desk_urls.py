"""Paths of the desk below ``/admin/`` for the search box of every page."""

from django.contrib import admin
from django.urls import URLPattern, path

from backoffice.access.pressing import pressed
from webhooks import find

urlpatterns: list[URLPattern] = [
    path("find/", admin.site.admin_view(find.find), name="find"),
    path(
        "find/<uuid:pk>/fetch/",
        admin.site.admin_view(pressed(find.fetch, find.lead)),
        name="find-fetch",
    ),
]
