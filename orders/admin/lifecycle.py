"""The lifecycle chart of a page: all lanes, or of a long list those of the orders that the page shows."""

from collections.abc import Sequence

from django.conf import settings
from django.utils import timezone

from orders.lanes.chart import chart
from orders.lanes.others import Crowd
from orders.lanes.parts import Chart
from orders.models import Order, PortfolioOrder
from orders.timeline.history import subject
from orders.timeline.items import Timeline
from orders.timeline.long import LongHistory


def lifecycle(
    row: PortfolioOrder | Order,
    orders: Sequence[Order],
    history: Timeline | LongHistory,
    *,
    is_stale: bool,
    crowd: Crowd | None = None,
) -> Chart | None:
    """Return the chart of a row and its ``orders``, and of the ``crowd`` of those not shown."""
    rows = [row, *orders]
    items = history.items if isinstance(history, Timeline) else history.steps_of(rows)
    return chart(
        [subject(each) for each in rows],
        items,
        now=history.now,
        zone=timezone.get_current_timezone(),
        late_after=settings.LATE_AFTER,
        quiet_since=row.news_at if is_stale else None,
        crowd=crowd,
    )
