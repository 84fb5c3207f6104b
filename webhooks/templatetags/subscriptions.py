"""How the configuration of a subscription looks."""

from django import template

from webhooks.subscriptions.wanted import interval

register = template.Library()
register.filter("interval", interval)
