"""The Celery app: ``celery -A backoffice worker`` and ``celery -A backoffice beat``.

Tasks carry ids only and may run twice or never: the rows in the database are the queue.
"""

import logging
import os
from typing import Any

from celery import Celery, signals
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from backoffice import checks, database, log, redis_address

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backoffice.settings")

try:
    address = redis_address.read(settings.REDIS_URL) if settings.REDIS_URL else None
except ImproperlyConfigured as error:  # a worker or beat: any other process has read them before
    raise SystemExit(str(error)) from None

PATIENT = ("check_due", "check_portfolio_order", "check_order", "discover", "reconcile")
app = Celery("backoffice")
sweep = 3 if settings.DEMO else 15  # seconds
app.config_from_object(
    {
        "broker_url": address.broker_url if address else "memory://localhost/",
        "broker_use_ssl": address.broker_ssl if address else None,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": (
            # Longer than any task: a task of a worker that died is given to another after it.
            {"visibility_timeout": 900, "socket_keepalive": True, **address.broker_options}
            if address
            else {"polling_interval": 0.02}
        ),
        "task_default_queue": "order-desk",
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        # What people wait for is taken first: the greater the number, the more patient.
        "task_routes": {f"orders.tasks.{name}": {"priority": 9} for name in PATIENT},
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_soft_time_limit": 240,
        "task_time_limit": 300,
        "worker_prefetch_multiplier": 1,
        "worker_consumer": "backoffice.consumer:Consumer",
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "beat_scheduler": "backoffice.beat:Scheduler",
        "beat_schedule": {
            # No tick expires: a clock that is off would void it. One too many finds no work.
            "sweep": {
                "task": "orders.tasks.sweep",
                "schedule": sweep,
            },
            "discover": {
                "task": "orders.tasks.discover",
                "schedule": 60,
            },
            "reconcile-nightly": {
                "task": "orders.tasks.reconcile_nightly",
                "schedule": 60,
            },
            "watch-feed": {
                "task": "webhooks.tasks.watch_feed",
                "schedule": 60,
            },
        },
        "timezone": "UTC",
    }
)
app.autodiscover_tasks()


@signals.celeryd_init.connect
@signals.beat_init.connect
def refuse_to_start_incomplete(**_: Any) -> None:
    """End a worker or beat that lacks a setting, with one message that names all of them."""
    try:
        checks.require_complete()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from None


@signals.celeryd_init.connect
def keep_the_limits_of_tasks(**_: Any) -> None:
    """Let no task of a worker wait for the database for ever."""
    database.take_role("task")


@signals.celeryd_init.connect
def refuse_to_apply_to_older_tables(**_: Any) -> None:
    """End a worker of a new release that starts before the database was migrated."""
    try:
        database.require_migrated()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from None
    except DatabaseError as error:  # it is away: the tasks wait for it
        logger.warning("The database cannot be asked for its migrations: %s", error)


@signals.setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Keep Django's LOGGING: with a receiver here, Celery installs none of its own."""


@signals.task_prerun.connect
def name_the_task_in_the_log(task_id: str, **_: Any) -> None:
    """Write the task's id where the log has the id of a request."""
    log.request_id.set(task_id)
