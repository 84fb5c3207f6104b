"""Paths below ``/webhooks/``."""

from django.db import transaction
from django.urls import URLPattern, re_path

from webhooks.views import DeliveryView

# Never in a transaction of the request, whatever the settings say: the inbox opens its own.
deliver = transaction.non_atomic_requests(DeliveryView.as_view())

urlpatterns: list[URLPattern] = [
    # With and without the slash: upstream takes a redirect for a failure.
    re_path(r"^investment-api/?$", deliver, name="investment-api"),
]
