"""What upstream has registered, and our mirror of it."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from backoffice.investment_api.budget import Urgency
from backoffice.investment_api.client import api
from orders.attributes import FREE_TEXT, UnreadableError, clean, moment, or_none, text, uuid, word
from webhooks.models import Subscription
from webhooks.subscriptions.wanted import Registered

logger = logging.getLogger(__name__)


def listed(*, urgency: Urgency) -> list[Registered]:
    """Return the subscriptions that upstream lists, the oldest first. Raises InvestmentAPIError."""
    found = []
    for document in api().subscriptions(urgency=urgency):
        try:
            found.append(read(document))
        except UnreadableError as error:
            logger.warning("A listed subscription is passed over: %s", error)
    return found


def read(document: Mapping[str, Any]) -> Registered:
    """Read a subscription as upstream shows it. Raises UnreadableError for one without an id."""
    return Registered(
        id=uuid(document, "id", required=True),
        title=clean(or_none(word, document, "title"), 100),
        url=clean(or_none(text(FREE_TEXT), document, "url"), 1000),
        topics=_words(document.get("type")),
        excluded_topics=_words(document.get("exclude_type")),
        config=_config(document.get("config")),
        enabled=document.get("enabled") is True,
        created_at=or_none(moment, document, "created_at"),
    )


def held() -> list[Registered]:
    """Return the subscriptions of the mirror that upstream listed last."""
    return [registered(row) for row in Subscription.objects.filter(gone_at=None)]


def registered(row: Subscription) -> Registered:
    """Return a row of the mirror as upstream listed it."""
    return Registered(
        id=row.id,
        title=row.title,
        url=row.url,
        topics=tuple(row.topics),
        excluded_topics=tuple(row.excluded_topics),
        config=row.config,
        enabled=row.enabled,
        created_at=row.created_at,
    )


def mirror(found: Iterable[Registered], *, now: datetime) -> None:
    """Make the mirror show ``found``; only rows that change are written, what is not listed is gone."""
    with transaction.atomic():
        rows = {row.pk: row for row in Subscription.objects.select_for_update()}
        wanted = {it.id: it for it in found}
        for pk, it in wanted.items():
            row = rows.get(pk)
            if row is None or row.gone_at or registered(row) != it:
                _row(it, now).save(force_insert=row is None)
        gone = [pk for pk, row in rows.items() if pk not in wanted and not row.gone_at]
        Subscription.objects.filter(pk__in=gone).update(gone_at=now)


def _row(it: Registered, now: datetime) -> Subscription:
    return Subscription(
        id=it.id,
        title=it.title,
        url=it.url,
        topics=list(it.topics),
        excluded_topics=list(it.excluded_topics),
        config=dict(it.config),
        enabled=it.enabled,
        created_at=it.created_at,
        seen_at=now,
    )


def _words(value: object) -> tuple[str, ...]:
    topics = value if isinstance(value, list) else ()
    return tuple(clean(topic, 64) for topic in topics if not isinstance(topic, (dict, list)))


def _config(value: object) -> dict[str, Any]:
    """Return the settings; numbers stay numbers, what else there is becomes text that can be stored."""
    if not isinstance(value, dict):
        return {}
    return {
        clean(name, 64): it if isinstance(it, (int, bool)) else clean(it, 200)
        for name, it in value.items()
        if not isinstance(it, (dict, list))
    }
