"""How findings of reconciliations look."""

from django import template
from django.utils.safestring import SafeString

from orders.models import Finding
from orders.reconciliation.models import Verdict
from orders.templatetags.desk import pill

register = template.Library()

BADGES = {
    Verdict.REPAIRED: pill("filled", "filled", "Corrected"),
    Verdict.DIFFERING: pill("failed", "warning", "Still different"),
    Verdict.UNKNOWN_HERE: pill("new", "new", "Missing here, added"),
    Verdict.UNKNOWN_THERE: pill("failed", "unknown", "Not known at broker"),
}


@register.filter
def verdict_badge(finding: Finding) -> SafeString:
    """Return the badge of a finding."""
    return BADGES[Verdict(finding.verdict)]
