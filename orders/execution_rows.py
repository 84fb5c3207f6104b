"""Rows of executions: one for each order that reports an execution. Written by the projection and a rebuild alone.

One execution may be reported by several orders (a block trade), so it is known by its order and
upstream's id. The first order to report it has its row under upstream's id, as releases wrote it
that knew of one order only, and as they still find it; the rows of the others have ids of their own.
"""

from collections.abc import Iterable
from copy import copy
from typing import Any

from orders import bulk
from orders.models import Execution


def write(executions: Iterable[Any]) -> None:
    """Write executions whose orders are locked: those that are here, and new ones."""
    rows = sorted(executions, key=lambda it: (it.upstream_id, it.order_id))
    added = [row for row in rows if row.is_new]
    bulk.upsert(Execution, [row for row in rows if not row.is_new])
    if bulk.insert(Execution, [_under_its_own_id(row) for row in added]) == len(added):
        return
    ids = [row.upstream_id for row in added]
    owners = dict(Execution.objects.filter(pk__any_of=ids).values_list("pk", "order_id"))
    bulk.insert(Execution, [it for it in added if owners.get(it.upstream_id) != it.order_id])


def _under_its_own_id(row: Any) -> Any:
    found = copy(row)
    found.id, found.execution_id = row.upstream_id, None
    return found
