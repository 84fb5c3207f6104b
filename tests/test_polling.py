"""Asking about all that is due: claimed together, asked side by side, written in groups."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from uuid import UUID

import pytest
from django.db import DataError, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backoffice.sandbox import Trouble
from orders import journal
from orders.asking import asks, leases, polling
from orders.asking.feedback import Result, Verdict
from orders.asking.leases import LEASE
from orders.lifecycle import Kind
from orders.models import JournalEntry, Order, Outcome, PortfolioOrder
from tests.upstream import receive, running

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def upstream(settings):
    with running(settings) as upstream:
        yield upstream


def due(upstream, count, *, minutes=10):
    """Place portfolio orders, lose all but their first webhooks, and have them due, the first the longest."""
    ids = [upstream.place() for _ in range(count)]
    receive(upstream.events())
    upstream.wait(minutes=minutes)
    make_due(ids)
    return ids


def make_due(ids, model=PortfolioOrder):
    now = timezone.now()
    for number, pk in enumerate(ids):
        at = now - timedelta(seconds=len(ids) - number)
        model.objects.filter(pk=pk).update(check_after=at, checks=0)


def poll(**options):
    told: list[Result] = []
    polling.poll(now=timezone.now(), tell=told.append, **options)
    return told


def statuses():
    return set(PortfolioOrder.objects.values_list("status", flat=True))


def still_claimed():
    return PortfolioOrder.objects.exclude(asking_until=None).count()


def test_a_claim_takes_the_longest_overdue_with_one_statement_and_nobody_elses(upstream):
    ids = due(upstream, 5)
    PortfolioOrder.objects.filter(pk=ids[1]).update(asking_until=timezone.now() + LEASE)
    PortfolioOrder.objects.filter(pk=ids[4]).update(check_after=timezone.now() + LEASE)

    with CaptureQueriesContext(connection) as asked:
        claimed = leases.claim(Kind.PORTFOLIO_ORDER, 2, due_at=timezone.now())

    assert [lease.pk for lease in claimed] == [ids[0], ids[2]]
    if connection.vendor == "postgresql":
        assert len(asked) == 1
    again = leases.claim(Kind.PORTFOLIO_ORDER, 9, due_at=timezone.now())
    assert [lease.pk for lease in again] == [ids[3]]
    upstream.wait(seconds=LEASE.total_seconds() + 1)  # whoever had them died
    assert len(leases.claim(Kind.PORTFOLIO_ORDER, 9, due_at=timezone.now())) == 5


def test_a_claim_that_is_given_back_leaves_that_of_another_alone(upstream):
    ids = due(upstream, 2)
    old = leases.claim(Kind.PORTFOLIO_ORDER, 2, due_at=timezone.now())
    PortfolioOrder.objects.filter(pk=ids[0]).update(asking_until=old[0].until + LEASE)

    leases.end(old)

    (held,) = PortfolioOrder.objects.exclude(asking_until=None)
    assert (held.pk, held.asking_until) == (ids[0], old[0].until + LEASE)


def test_of_claims_side_by_side_none_gets_what_another_has():
    now = timezone.now()
    pks = [UUID(int=number) for number in range(60)]
    PortfolioOrder.objects.bulk_create(
        PortfolioOrder(pk=pk, status="NEW", check_after=now) for pk in pks
    )

    def claim(_):
        try:
            found = []
            while claimed := leases.claim(Kind.PORTFOLIO_ORDER, 7, due_at=now):
                found += [lease.pk for lease in claimed]
            return found
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        claimed = [pk for mine in pool.map(claim, range(4)) for pk in mine]

    assert len(claimed) == len(set(claimed))
    assert set(claimed) <= set(pks)
    # What another held at that moment is passed over, not waited for.
    rest = leases.claim(Kind.PORTFOLIO_ORDER, 60, due_at=now)
    assert {*claimed, *(lease.pk for lease in rest)} == set(pks)


def test_all_that_is_due_is_asked_about_once_with_its_orders_and_applied(upstream):
    ids = due(upstream, 12)

    told = poll()

    assert [result.verdict for result in told] == [Verdict.ANSWERED] * 12
    assert statuses() == {"FILLED"}
    asked = upstream.asked()
    assert len(asked) == len(set(asked))
    assert {f"GET /portfolios/orders/{pk}" for pk in ids} <= set(asked)
    orders = Order.objects.values_list("pk", flat=True)
    assert {f"GET /orders/{pk}" for pk in orders} <= set(asked)
    assert set(Order.objects.values_list("status", flat=True)) == {"FILLED"}
    assert still_claimed() == 0
    told_of = JournalEntry.objects.filter(source="POLL")
    assert set(told_of.values_list("outcome", "actor")) == {(Outcome.APPLIED, "")}
    assert told_of.count() == len(asked)


def test_a_group_is_written_with_the_same_number_of_statements_whatever_its_size(upstream):
    counts = []
    for size in (2, 20):
        ids = due(upstream, size, minutes=0)
        Order.objects.update(check_after=None)
        poll()  # tells of their orders
        make_due(ids)
        with CaptureQueriesContext(connection) as asked:
            told = poll()
        assert len(told) == size
        counts.append(len(asked))

    if connection.vendor == "postgresql":
        assert counts[1] <= counts[0] + 10  # an outcome or two more; one more claim


def test_what_a_slow_answer_is_about_holds_up_none_of_the_others(upstream):
    slow, *rest = due(upstream, 6)
    release = Event()

    def during(path):
        if str(slow) in path:
            release.wait(20)

    def tell(_):
        told.append(_)
        if len(told) == len(rest):
            filled = PortfolioOrder.objects.filter(status="FILLED")
            assert set(filled.values_list("pk", flat=True)) == set(rest)
            release.set()

    told: list[Result] = []
    upstream.during = during
    polling.poll(now=timezone.now(), tell=tell, threads=4)

    assert len(told) == 6
    assert statuses() == {"FILLED"}


def test_an_answer_that_cannot_be_read_is_quarantined_and_costs_no_other(upstream, monkeypatch):
    broken, *rest = due(upstream, 5)
    put = asks.put

    def odd(kind, about, asker):
        reply = put(kind, about, asker)
        if about == broken:
            assert reply.answer
            reply.answer.payload["status"] = {"not": "a word"}
        return reply

    monkeypatch.setattr(asks, "put", odd)

    told = poll()

    assert len(told) == 5
    filled = PortfolioOrder.objects.filter(status="FILLED").values_list("pk", flat=True)
    assert set(filled) == set(rest)
    entry = JournalEntry.objects.get(outcome=Outcome.QUARANTINED)
    assert entry.portfolio_order_id == broken
    assert still_claimed() == 0


def test_an_answer_that_the_database_refuses_costs_no_other_and_is_told_in_the_end(
    upstream, monkeypatch
):
    refused, *rest = due(upstream, 5)
    save = journal.save_asks

    def picky(entries):
        if any(entry.portfolio_order_id == refused for entry in entries):
            raise DataError("invalid byte sequence")
        save(entries)

    monkeypatch.setattr(journal, "save_asks", picky)

    with pytest.raises(DataError):
        poll()

    filled = PortfolioOrder.objects.filter(status="FILLED").values_list("pk", flat=True)
    assert set(filled) == set(rest)
    assert PortfolioOrder.objects.get(pk=refused).asking_until is not None  # until it runs out


def test_what_goes_wrong_in_a_thread_costs_no_other_and_is_told_in_the_end(upstream, monkeypatch):
    wrong, *rest = due(upstream, 5)
    put = asks.put

    def odd(kind, about, asker):
        if about == wrong:
            raise ZeroDivisionError
        return put(kind, about, asker)

    monkeypatch.setattr(asks, "put", odd)

    with pytest.raises(ZeroDivisionError):
        poll()

    filled = PortfolioOrder.objects.filter(status="FILLED").values_list("pk", flat=True)
    assert set(filled) == set(rest)


def test_a_poller_that_dies_while_it_writes_has_its_answers_asked_for_again(upstream, monkeypatch):
    ids = due(upstream, 3)
    with monkeypatch.context() as patch:
        patch.setattr(asks, "record_all", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            poll()
    assert statuses() == {"NEW"}
    assert poll() == []

    upstream.wait(seconds=LEASE.total_seconds() + 1)
    make_due(ids)

    assert len(poll()) == 3
    assert statuses() == {"FILLED"}


def test_an_answer_that_met_a_row_that_was_held_is_applied_by_any_drain(upstream, monkeypatch):
    due(upstream, 3)
    with monkeypatch.context() as patch:
        patch.setattr("orders.projection.apply_answers", lambda *_, **__: None)  # all are held
        patch.setattr("orders.projection.drain", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            poll()

    receive([])

    assert statuses() == {"FILLED"}


def test_a_failed_ask_stays_due_for_later_and_the_lease_ends(upstream):
    ids = due(upstream, 3)
    upstream.expect(Trouble("problem", 503, path=f"/portfolios/orders/{ids[0]}"), times=1)

    told = poll()

    assert sorted(result.verdict.name for result in told) == ["ANSWERED", "ANSWERED", "FAILED"]
    failed = PortfolioOrder.objects.get(pk=ids[0])
    assert (failed.status, failed.asking_until) == ("NEW", None)
    assert "503" in failed.check_error
    assert failed.check_after > timezone.now()
    assert JournalEntry.objects.get(outcome=Outcome.FAILED).portfolio_order_id == ids[0]


def test_an_order_that_is_not_told_has_its_portfolio_order_asked_again(upstream):
    (pk,) = due(upstream, 1)
    upstream.expect(Trouble("problem", 503, path="/orders/"), times=1)

    (told,) = poll()

    assert told.reason
    row = PortfolioOrder.objects.get(pk=pk)
    assert (row.status, row.asking_until) == ("FILLED", None)
    assert "503" in row.check_error
    assert row.check_after is not None


def test_single_orders_are_asked_about_and_those_that_name_a_portfolio_order_by_that(upstream):
    alone = upstream.place_order()
    receive(upstream.events())
    parent = upstream.place()
    created = [
        it for it in [*upstream.events(), *upstream.wait(seconds=20)] if it["type"] == "ORDER.NEW"
    ]
    receive(created)  # the webhooks of their portfolio order got lost
    upstream.wait(minutes=10)
    Order.objects.update(check_after=timezone.now())
    upstream.asked()

    poll()

    asked = upstream.asked()
    assert {f"GET /orders/{alone}", f"GET /portfolios/orders/{parent}"} <= set(asked)
    assert statuses() == {"FILLED"}
    assert Order.objects.exclude(asking_until=None).count() == 0


def test_where_the_portfolio_order_is_not_found_the_order_itself_is_asked_for(upstream):
    upstream.place()
    created = [
        it for it in [*upstream.events(), *upstream.wait(seconds=20)] if it["type"] == "ORDER.NEW"
    ][:1]
    receive(created)
    pk = Order.objects.get().pk
    upstream.wait(minutes=10)
    Order.objects.update(check_after=timezone.now())
    upstream.expect(Trouble("problem", 404, path="/portfolios"), times=1)
    upstream.asked()

    poll()

    assert upstream.asked()[-1] == f"GET /orders/{pk}"
    assert Order.objects.get(pk=pk).status == "FILLED"


def test_connections_and_the_token_are_kept_from_one_poll_to_the_next(upstream):
    ids = due(upstream, 6)
    tokens, accepted = [], []
    answer, verify = upstream.answer, upstream._server._server.process_request

    def counted(message):
        tokens.extend([message.path] if message.path == "/auth/token" else [])
        return answer(message)

    def opened(*request):
        accepted.append(request)
        return verify(*request)

    upstream.answer, upstream._server._server.process_request = counted, opened

    for _ in range(3):
        poll(threads=3)
        make_due(ids)

    assert len(tokens) <= 1
    assert len(accepted) <= 3


def test_what_the_budget_keeps_back_stays_due_and_the_poll_ends(upstream, monkeypatch):
    due(upstream, 40)
    upstream.expect(Trouble("problem", 429, retry_after="60", path="/portfolios"), times=99)

    told = poll(threads=2)

    assert len(upstream.asked()) <= 2
    assert still_claimed() == 0
    left = PortfolioOrder.objects.due(now=timezone.now()).count()
    assert left >= 38
    assert {result.verdict for result in told} <= {Verdict.LIMITED, Verdict.SKIPPED}


def test_a_poll_claims_nothing_more_after_its_time(upstream):
    due(upstream, 40)

    told = poll(threads=1, lasts=-1.0)

    assert told == []
    assert upstream.asked() == []


def test_no_more_than_the_budget_is_asked_in_a_second_however_many_threads(upstream, settings):
    settings.INVESTMENT_API_MAX_RPS = 10
    due(upstream, 8, minutes=0)
    Order.objects.update(check_after=None)
    moments = []
    upstream.during = lambda _: moments.append(time.perf_counter())

    poll(lasts=0.5)

    most = max(sum(a <= b < a + 1 for b in moments) for a in moments)
    assert most <= 8  # background work leaves a fifth to people
