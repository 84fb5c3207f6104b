"""Paths of the desk below ``/admin/`` that belong to no list."""

from django.contrib import admin
from django.urls import URLPattern, path

from orders.glossary import glossary
from orders.lifecycle import Kind
from orders.version import today, version

site = admin.site

urlpatterns: list[URLPattern] = [
    path("glossary/", site.admin_view(glossary), name="glossary"),
    path("version/today/", site.admin_view(today), name="version-today"),
    *(
        path(
            f"version/{name}/<uuid:pk>/",
            site.admin_view(version),
            {"kind": kind},
            name=f"version-{name}",
        )
        for name, kind in (("portfolio-order", Kind.PORTFOLIO_ORDER), ("order", Kind.ORDER))
    ),
]
