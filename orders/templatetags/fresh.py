"""What a page needs to notice that there is news."""

from django import template
from django.urls import reverse

from orders.clocks import kind_of
from orders.lifecycle import Kind
from orders.models import Order, PortfolioOrder

register = template.Library()


@register.simple_tag
def version_url(row: PortfolioOrder | Order) -> str:
    """Return where to ask for the version now."""
    kind = "order" if kind_of(row) is Kind.ORDER else "portfolio-order"
    return reverse(f"version-{kind}", args=[row.pk])
