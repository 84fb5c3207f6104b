"""The weather at the broker's API, for the line on Today."""

from django import template

from backoffice.weather.condition import Condition
from backoffice.weather.reading import recent_weather

register = template.Library()


@register.simple_tag
def api_weather() -> Condition:
    """Return how it stands with the broker's API, as it was a few seconds ago at most."""
    return recent_weather().condition
