"""Paths of the desk below ``/admin/`` that belong to no list."""

from django.contrib import admin
from django.urls import URLPattern, path

from orders.lifecycle import Kind
from orders.version import version

site = admin.site

urlpatterns: list[URLPattern] = [
    path(
        f"version/{name}/<uuid:pk>/",
        site.admin_view(version),
        {"kind": kind},
        name=f"version-{name}",
    )
    for name, kind in (("portfolio-order", Kind.PORTFOLIO_ORDER), ("order", Kind.ORDER))
]
