"""The paths of the site."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from backoffice import environment, health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("favicon.ico", environment.icon, name="icon"),
    path("admin/", include("orders.urls")),
    path("admin/", include("webhooks.desk_urls")),
    path("admin/", admin.site.urls),
    path("webhooks/", include("webhooks.urls")),
    re_path(r"^health/live/?$", health.live, name="health-live"),
    re_path(r"^health/ready/?$", health.ready, name="health-ready"),
    re_path(r"^metrics/?$", health.metrics, name="metrics"),
]
handler400 = "backoffice.access.errors.bad_request"
handler403 = "backoffice.access.errors.forbidden"
handler404 = "backoffice.access.errors.not_found"
handler500 = "backoffice.middleware.server_error"
