"""What the feed has to say of the readiness of this installation, and what it gets ready when a web process starts."""

from django.utils import timezone

from backoffice import health, starting
from webhooks.authentication import key_set
from webhooks.models import Delivery
from webhooks.subscriptions import watch


def feed_problem() -> str:
    """Return why webhooks do not come, or may not; "" where all is well.

    In few words: anybody may read it, and the sentence for staff quotes addresses and errors.
    """
    condition = watch.current(now=timezone.now())
    return f"{condition.state}: {condition.headline}" if condition.is_alarm else ""


health.written.add(Delivery._meta.db_table)  # noqa: SLF001 -- Django documents it
health.register("feed", feed_problem)
starting.register(key_set.prepare)
