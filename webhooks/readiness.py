"""What the feed has to say of the readiness of this installation."""

from django.utils import timezone

from backoffice import health
from webhooks.subscriptions import watch


def feed_problem() -> str:
    """Return why webhooks do not come, or may not; "" where all is well.

    In few words: anybody may read it, and the sentence for staff quotes addresses and errors.
    """
    condition = watch.current(now=timezone.now())
    return f"{condition.state}: {condition.headline}" if condition.is_alarm else ""


health.register("feed", feed_problem)
