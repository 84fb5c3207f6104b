"""The tasks about the feed. Safe to run twice, or never."""

import logging

from celery import shared_task
from django.db import Error as DatabaseTrouble
from django.utils import timezone

from webhooks.subscriptions import watch

logger = logging.getLogger(__name__)


@shared_task(acks_late=True, ignore_result=True, soft_time_limit=100, time_limit=120)
def watch_feed() -> None:
    """Check our subscription, if these five minutes have not had their check."""
    try:
        watch.check_if_due(now=timezone.now())
    except DatabaseTrouble as error:
        logger.warning("The watch was cut short: %s: %s", type(error).__name__, error)
