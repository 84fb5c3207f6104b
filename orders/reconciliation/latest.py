"""The reconciliation that Today tells of: the last one, or the last that still needs people."""

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from orders.reconciliation.models import Reconciliation, RunState, Scope

WORRY_FOR = timedelta(days=7)


def told_of(now: datetime) -> QuerySet[Reconciliation]:
    """Return all, the one to tell of first; ``is_amber`` where somebody should look at it.

    A later one of the same settles what an earlier one found.
    """
    ended = Reconciliation.objects.exclude(state=RunState.RUNNING)
    same = Q(scope=OuterRef("scope")) & (
        ~Q(scope=Scope.ACCOUNT) | Q(account_id=OuterRef("account_id"))
    )
    later = ended.filter(same, pk__gt=OuterRef("pk"))
    found = Q(state=RunState.FAILED) | Q(differing__gt=0) | Q(unknown_there__gt=0)
    worrying = ended.filter(found, ~Exists(later), started_at__gte=now - WORRY_FOR)
    return Reconciliation.objects.annotate(
        is_amber=Exists(worrying.filter(pk=OuterRef("pk")))
    ).order_by("-is_amber", "-pk")
