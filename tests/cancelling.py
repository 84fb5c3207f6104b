"""Orders to cancel, for tests; and two who do the same at once."""

from threading import Barrier, Thread

from django.db import connections

from orders.models import Order
from tests.upstream import receive


def placed(upstream):
    """Return a new portfolio order, known here."""
    pk = upstream.place()
    receive(upstream.events())
    return pk


def in_the_middle(upstream):
    """Return a portfolio order of which some orders are filled and some are at the venue."""
    pk = placed(upstream)
    while not {"FILLED", "PROCESSING"} <= statuses(pk):
        receive(upstream.wait(seconds=5))
    return pk


def statuses(pk):
    """Return the statuses of the orders of a portfolio order."""
    return set(Order.objects.filter(portfolio_order_id=pk).values_list("status", flat=True))


def twice_at_once(work):
    """Do something in two threads at the same time."""
    barrier = Barrier(2)

    def wait_and_work():
        barrier.wait()
        work()
        connections.close_all()

    threads = [Thread(target=wait_and_work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
